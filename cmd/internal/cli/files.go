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
		Use:   "init [DIR]",
		Short: "Write a commented starter project",
		Long:  "Writes main.hcl, a small commented project, and a .gitignore. Files that exist are left alone.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := dirArg(args)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "*.hcl")); len(found) > 0 {
				a.printer().Note(fmt.Sprintf("%s has .hcl files already: left alone.", dir))
			} else if err := a.writeNew(filepath.Join(dir, "main.hcl"), starter); err != nil {
				return err
			}
			return a.writeNew(filepath.Join(dir, ".gitignore"), []byte(starterIgnore))
		},
	}
}

// writeNew writes a file that must not exist yet; one that does is left alone, and said.
func (a *App) writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		a.printer().Note(path + " exists already: left alone.")
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		a.printer().Note("Wrote " + path + ".")
	}
	return errors.Join(err, f.Close())
}

type fmtOptions struct{ check, diff bool }

// fmtCommand brings files to the one layout.
func (a *App) fmtCommand() *cobra.Command {
	var o fmtOptions
	c := &cobra.Command{
		Use:   "fmt [DIR | FILE | -]…",
		Short: "Rewrite files in the standard layout",
		Long:  "Rewrites the .hcl files of the folder (or the files named, or standard input with -) in the standard layout and lists\nthose that changed.",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			changed := false
			for _, arg := range args {
				c, err := a.formatArg(arg, o)
				if err != nil {
					return err
				}
				changed = changed || c
			}
			if o.check && changed {
				return exitError{ExitError}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&o.check, "check", false, "write nothing; exit 1 when a file is not in the standard layout")
	c.Flags().BoolVar(&o.diff, "diff", false, "show what changes")
	return c
}

func (a *App) formatArg(arg string, o fmtOptions) (changed bool, err error) {
	if arg == "-" {
		src, err := io.ReadAll(a.Streams.In)
		if err != nil {
			return false, err
		}
		out, err := config.FormatFile("<stdin>", src)
		if err != nil {
			return false, err
		}
		if !o.check {
			_, err = a.Streams.Out.Write(out)
		}
		return !bytes.Equal(src, out), err
	}
	paths := []string{arg}
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(arg, "*.hcl")); err != nil {
			return false, err
		}
	}
	for _, path := range paths {
		c, err := a.formatFile(path, o)
		if err != nil {
			return changed, err
		}
		changed = changed || c
	}
	return changed, nil
}

func (a *App) formatFile(path string, o fmtOptions) (changed bool, err error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	out, err := config.FormatFile(path, src)
	if err != nil || bytes.Equal(src, out) {
		return false, err
	}
	if o.diff {
		a.printer().Diff(path, string(src), string(out))
	} else {
		fmt.Fprintln(a.Streams.Out, strings.TrimPrefix(path, "./"))
	}
	if o.check {
		return true, nil
	}
	return true, os.WriteFile(path, out, 0o644)
}

// validateCommand checks the files alone.
func (a *App) validateCommand() *cobra.Command {
	var o projectOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check the files without state or hosts",
		Long:  "Checks everything in the files that can be checked without state and hosts, and reports all mistakes at once.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.runValidate(dirArg(args), o, asJSON)
		},
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) runValidate(dir string, o projectOptions, asJSON bool) error {
	s, diags, err := a.parse(dir, o)
	if err != nil {
		return err
	}
	if !diags.HasErrors() {
		_, more := s.project.Load(config.Prior{})
		diags = append(diags, more...)
	}
	if asJSON {
		err = a.printer().DiagnosticsJSON(diags, s.project.Files())
	} else {
		a.printer().Diagnostics(diags, s.project.Files())
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
