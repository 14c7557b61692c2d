package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/cmd/internal/view"
)

// exitCodesHelp ends the help of commands, by name; the empty name is for all others.
var exitCodesHelp = map[string]string{
	"":      "0 done, 1 error, 130 interrupted",
	"plan":  "0 done, 1 error, 2 changes present (with --detailed-exitcode), 3 refused by --max-impact, 130 interrupted",
	"apply": "0 done, 1 error or not approved, 3 refused by --max-impact, 130 interrupted",
	"fmt":   "0 done, 1 error, or a file is not in the standard layout (with --check)",
	"ssh":   "ssh's, which are those of the command run; 255 or 1 error",
}

// describe completes a command's long help, and has errors about what it is given say how it is used.
func describe(c *cobra.Command, p *view.Printer) {
	if c.HasParent() && c.HasSubCommands() {
		c.Args, c.RunE = onlySubcommands, func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	codes, ok := exitCodesHelp[c.Name()]
	if !ok {
		codes = exitCodesHelp[""]
	}
	c.Long = p.Fill(c.Long + "\n\nExit codes: " + codes + ".")
	if check := c.Args; check != nil && !c.HasSubCommands() {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if err == nil {
				err = c.ValidateRequiredFlags()
			}
			if err != nil {
				return advise(err, "Usage: "+c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		describe(sub, p)
	}
}

// onlySubcommands refuses what is no command of a group of commands, with what may have been meant.
func onlySubcommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "What there is: " + c.CommandPath() + " --help"
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("Did you mean %s? %s", strings.Join(near, " or "), hint)
	}
	return advise(fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath()), hint)
}

// required marks flags that a command cannot do without.
func required(c *cobra.Command, flags ...string) *cobra.Command {
	for _, name := range flags {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // there is no such flag
		}
	}
	return c
}

// noArgs is for commands that take no arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and %q is one", c.CommandPath(), args[0])
	}
	return nil
}

// meantFlag guesses which flag was meant: written with one hyphen, as Terraform has them, or with hyphens elsewhere.
func meantFlag(c *cobra.Command, message string) (hint string) {
	if !strings.HasPrefix(message, "unknown") {
		return ""
	}
	words := strings.Fields(message)
	written, _, _ := strings.Cut(strings.Trim(words[len(words)-1], "'\""), "=")
	plain := func(name string) string { return strings.ReplaceAll(name, "-", "") }
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if plain(f.Name) == plain(written) {
			hint = fmt.Sprintf("Did you mean --%s? ", f.Name)
		}
	})
	return hint
}
