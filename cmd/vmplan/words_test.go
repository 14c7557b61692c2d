package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// driversWords are words for what is below the line of the drivers.
var driversWords = regexp.MustCompile(`(?i)libvirt|qemu|qcow2|ovmf|swtpm`)

// tagOfField is the tag of a struct's field: the language's own words, such as the format qcow2, and its reference.
var tagOfField = regexp.MustCompile("`json:.*`")

// TestNoWordOfAHypervisorAboveTheDrivers: what files are completed with and what a plan says of a host comes from its driver. Names of
// images are the catalogue's, and engine/standard is a list of drivers.
func TestNoWordOfAHypervisorAboveTheDrivers(t *testing.T) {
	files := 0
	for _, dir := range []string{"../../config", "../../planner"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "testdata" || path == "../../config/catalogue" || path == "../../planner/engine/standard"):
				return filepath.SkipDir
			case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			files++
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				line = strings.ReplaceAll(tagOfField.ReplaceAllString(line, ""), "qemuimg", "") // the name of a package of the drivers
				if word := driversWords.FindString(line); word != "" {
					t.Errorf("%s:%d says %q, which is for a driver to say:\n%s", path, i+1, word, line)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Errorf("only %d files were looked at", files)
	}
}
