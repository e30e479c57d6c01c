package hosttool

// Go is the go command.
func Go() Tool {
	return Tool{Name: "go", Deb: "golang-go", Hint: "https://go.dev/dl", Usage: "build the programs"}
}

// Mmdebstrap makes root file systems of Debian packages.
func Mmdebstrap() Tool {
	return Tool{Name: "mmdebstrap", Deb: "mmdebstrap", Usage: "make the Debian root file system"}
}
