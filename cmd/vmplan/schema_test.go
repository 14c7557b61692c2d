package main

import (
	"bufio"
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas is the folder of the JSON Schemas, from this one.
const schemas = "../../docs/schema"

// checkLines holds each line of text to a schema of docs/schema, and wants one at least.
func checkLines(schemas, name, text string) error {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(schemas, name+".json"))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<24)
	seen := 0
	for lines.Scan() {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(lines.Bytes()))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			return fmt.Errorf("%s.json: %w", name, err)
		}
		seen++
	}
	if seen == 0 {
		return fmt.Errorf("%s.json: there is no output", name)
	}
	return lines.Err()
}

// cmdValid holds each line of the last output to a schema of docs/schema: valid NAME.
func cmdValid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: valid NAME")
	}
	err := checkLines(ts.Getenv("SCHEMAS"), args[0], ts.ReadFile("stdout"))
	if neg && err == nil {
		ts.Fatalf("%s.json allows it", args[0])
	}
	if !neg {
		ts.Check(err)
	}
}
