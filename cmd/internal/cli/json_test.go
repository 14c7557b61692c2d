package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The output of every command with --json is held to a schema, by the script that runs them all.
func TestEveryJSONOutputIsHeldToASchema(t *testing.T) {
	script, err := os.ReadFile("../../vmplan/testdata/script/json.txtar")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Flags().Lookup("json") != nil {
			found++
			path := regexp.QuoteMeta(strings.TrimPrefix(c.CommandPath(), "vmplan "))
			if !regexp.MustCompile(`(?m)^exec vmplan ` + path + `( .*)? --json.*\nvalid `).Match(script) {
				t.Errorf("json.txtar does not run %s --json and hold it to a schema", c.CommandPath())
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&App{}).root())
	if found < 15 {
		t.Errorf("only %d commands with --json were found", found)
	}
}
