package main

// commandHelp is the help of one command: what it does before what it takes.
const commandHelp = `{{.Name}} - {{.Usage}}

Usage: hepta {{.Name}}{{if .Subcommands}} COMMAND{{end}}{{if .VisibleFlags}} [options]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}

{{.Description}}
{{if .Subcommands}}
Commands:
{{range .VisibleCommands}}   {{printf "%-11s" .Name}} {{.Usage}}
{{end}}{{end}}{{if .VisibleFlags}}
Options:
{{range .VisibleFlags}}   {{.}}
{{end}}{{end}}`

// appHelp is the help of the program.
const appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}

Commands:
{{range .VisibleCommands}}{{if ne .Name "help"}}   {{printf "%-11s" .Name}} {{.Usage}}
{{end}}{{end}}
Global options, for every command:
{{range .VisibleFlags}}   {{.}}
{{end}}
Exit codes: 0 done, 1 failed, 2 plan: something is to be done, 64 wrong usage, 130 interrupted;
exec and ctl end with the code of what they ran. 'hepta COMMAND --help' says more.
`
