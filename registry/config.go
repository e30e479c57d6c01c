package registry

// Config describes the forge's container registry as it is published.
type Config struct {
	Host string // own host name through the proxy
	Port int    // own port on the forge's host instead of an own host name; 0: none

	Certificate []byte // PEM, with Port
	Key         []byte // PEM, with Port

	Path string // directory of the blobs inside the forge's container; "" leaves the default
}
