package main

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas is the folder of the JSON Schemas, from this one.
const schemas = "../../docs/schema"

// cmdValid holds each line of the last output to a schema of docs/schema: valid NAME.
func cmdValid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: valid NAME")
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(ts.Getenv("SCHEMAS"), args[0]+".json"))
	ts.Check(err)
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile("stdout")))
	lines.Buffer(nil, 1<<24)
	seen := 0
	for lines.Scan() {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(lines.Bytes()))
		ts.Check(err)
		if err := schema.Validate(v); (err != nil) != neg {
			ts.Fatalf("%s.json: %v", args[0], err)
		}
		seen++
	}
	ts.Check(lines.Err())
	if seen == 0 {
		ts.Fatalf("there is no output")
	}
}
