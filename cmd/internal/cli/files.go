package cli

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/atomicfile"
)

//go:embed starter.hcl
var starter []byte

const starterIgnore = `# vmplan: what is local to a checkout, and what may hold addresses and hashes
.vmplan/
*.vmstate
*.vmstate.*
*.vmplan
`

// initCommand writes a project to start from.
func (a *App) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "init [DIR]",
		Short:   "Write a commented starter project",
		Long:    `Writes main.hcl, a small project with comments, and a .gitignore. Existing files are not changed.`,
		Example: `  vmplan init lab`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.runInit(dirArg(args))
		},
	}
}

func (a *App) runInit(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	p := a.printer()
	project := filepath.Join(dir, "main.hcl")
	found, _ := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if len(found) > 0 {
		p.Note(found[0] + " is there already: no starter project is written.")
	} else if err := a.writeNew(project, starter); err != nil {
		return err
	}
	if err := a.writeNew(filepath.Join(dir, ".gitignore"), []byte(starterIgnore)); err != nil {
		return err
	}
	if len(found) == 0 {
		p.Note(fmt.Sprintf("\nRead %s, change what is not as you want it, and see what would be done with: vmplan plan", project))
	}
	return nil
}

// writeNew writes a file that must not exist yet; one that does is left alone, and said.
func (a *App) writeNew(path string, data []byte) error {
	err := atomicfile.Create(path, data, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		a.printer().Note(path + " exists already: left alone.")
		return nil
	case err == nil:
		a.printer().Note("Wrote " + path + ".")
	}
	return err
}

type fmtOptions struct{ check, diff bool }

// fmtCommand brings files to the one layout.
func (a *App) fmtCommand() *cobra.Command {
	var o fmtOptions
	c := &cobra.Command{
		Use:   "fmt [DIR | FILE | -]…",
		Short: "Rewrite files in the standard layout",
		Long: `Rewrites the .hcl files of the folder, or the given files, in the standard layout, and lists those that changed. With -, reads
standard input and writes standard output.`,
		Example: `  vmplan fmt
  vmplan fmt --check --diff
  vmplan fmt - < main.hcl`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return a.runFmt(args, o)
		},
	}
	c.Flags().BoolVar(&o.check, "check", false, "write nothing; exit with code 1 if a file is not in the standard layout")
	c.Flags().BoolVar(&o.diff, "diff", false, "show what changes")
	return c
}

// runFmt does all files, also those after one that cannot be read or parsed.
func (a *App) runFmt(args []string, o fmtOptions) error {
	changed, failed := false, false
	for _, arg := range args {
		paths := []string{arg}
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			paths, _ = filepath.Glob(filepath.Join(arg, "*.hcl"))
		}
		for _, path := range paths {
			c, err := a.formatFile(path, o)
			changed, failed = changed || c, failed || err != nil
			if exit := (exitError{}); err != nil && !errors.As(err, &exit) {
				a.printer().Error(err)
			}
		}
	}
	if failed || o.check && changed {
		return exitError{ExitError}
	}
	return nil
}

// formatFile formats the file at path, or for "-" standard input to standard output.
func (a *App) formatFile(path string, o fmtOptions) (changed bool, err error) {
	name, read := path, os.ReadFile
	if path == "-" {
		name, read = "<stdin>", func(string) ([]byte, error) { return io.ReadAll(a.Streams.In) }
	}
	src, err := read(path)
	if err != nil {
		return false, err
	}
	out, err := config.FormatFile(name, src)
	var diags config.Diagnostics
	if errors.As(err, &diags) {
		a.printer().FileDiagnostics(diags, name, src)
		return false, exitError{ExitError}
	}
	if changed = !bytes.Equal(src, out); err != nil || !changed && path != "-" {
		return false, err
	}
	switch {
	case o.diff && changed:
		a.printer().Diff(name, string(src), string(out))
	case path != "-":
		fmt.Fprintln(a.Streams.Out, strings.TrimPrefix(path, "./"))
	case !o.check && !o.diff:
		_, err = a.Streams.Out.Write(out)
	}
	if o.check || path == "-" {
		return changed, err
	}
	return true, rewrite(path, out)
}

// rewrite gives a file that is there another content, and leaves its mode and the links that lead to it.
func rewrite(path string, content []byte) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	return atomicfile.WriteFrom(target, info.Mode().Perm(), func(f *os.File) error {
		_, err := f.Write(content)
		return errors.Join(err, f.Chmod(info.Mode().Perm())) // whatever the umask is
	})
}

// validateCommand checks the files alone.
func (a *App) validateCommand() *cobra.Command {
	var o projectOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check the files without reading state or hosts",
		Long: `Checks everything that can be checked from the files alone, and reports all mistakes at once. Parts that depend on a variable without
a default are checked only if you set it.`,
		Example: `  vmplan validate
  vmplan validate --var ssh_key="$(cat ~/.ssh/id_ed25519.pub)"
  vmplan validate --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.runValidate(dirArg(args), o, asJSON)
		},
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) runValidate(dir string, o projectOptions, asJSON bool) error {
	o.anyValue = true
	s, err := a.parse(dir, o)
	if err != nil {
		return err
	}
	diags := s.Parsed()
	cfg, more := s.Files().Load(config.Prior{})
	diags = append(append(diags, more...), a.checkHosts(s.Dir(), cfg)...)
	if asJSON {
		err = a.printer().DiagnosticsJSON(diags, s.Files().Files())
	} else {
		a.printer().Diagnostics(diags, s.Files().Files())
	}
	switch {
	case err != nil:
		return err
	case diags.HasErrors():
		return exitError{ExitError}
	case !asJSON:
		a.printer().Note("The files are valid.")
	}
	return nil
}
