package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command has a long help of its own, an example that runs it, and its exit codes.
func TestEveryCommandHasCompleteHelp(t *testing.T) {
	count := 0
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		count++
		long, codes, ok := strings.Cut(c.Long, "\n\nExit codes: ")
		if !ok || !strings.HasSuffix(codes, ".") {
			t.Errorf("%s: no exit codes", c.CommandPath())
		}
		if len(strings.TrimSpace(long)) <= len(c.Short)+1 {
			t.Errorf("%s: the long help says no more than the short one: %q", c.CommandPath(), long)
		}
		if c.Example == "" {
			t.Errorf("%s: no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  "+c.CommandPath()) {
				t.Errorf("%s: the example does not run the command: %q", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check((&App{}).root())
	if count < 40 {
		t.Errorf("only %d commands were checked", count)
	}
}
