package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const docsFolder = "../../docs"

var (
	wholeProject    = regexp.MustCompile("(?ms)^```hcl project\n(.*?)^```")
	codeBlock       = regexp.MustCompile("(?ms)^```.*?^```")
	markdownLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	markdownHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInIDs        = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// The projects that the documentation shows whole (```hcl project) are valid as they stand there.
func TestProjectsInTheDocsAreValid(t *testing.T) {
	pages, err := filepath.Glob(docsFolder + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, docsFolder+"/../README.md") {
		for _, found := range wholeProject.FindAllStringSubmatch(readPage(t, page), -1) {
			count++
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(found[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"validate", dir}, {"fmt", "--check", dir}} {
				if out, err := exec.Command("vmplan", args...).CombinedOutput(); err != nil {
					t.Errorf("%s: vmplan %s: %v\n%s\n%s", page, args[0], err, out, found[1])
				}
			}
		}
	}
	if count < 3 {
		t.Errorf("only %d projects were found", count)
	}
}

// Each link to a file or heading of this repository leads somewhere.
func TestLinksInTheDocsResolve(t *testing.T) {
	pages, err := filepath.Glob(docsFolder + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(docsFolder + "/../*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, more...) {
		for _, found := range markdownLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(readPage(t, page), ""), -1) {
			target, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			count++
			file := page
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(page), target.Path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", page, found[1])
			} else if target.Fragment != "" && !hasHeading(readPage(t, file), target.Fragment) {
				t.Errorf("%s links to %s, which has no such heading", page, found[1])
			}
		}
	}
	if count < 40 {
		t.Errorf("only %d links were found", count)
	}
}

// hasHeading tells whether a page has a heading with this id, as GitHub makes them.
func hasHeading(page, id string) bool {
	for _, found := range markdownHeading.FindAllStringSubmatch(page, -1) {
		plain := notInIDs.ReplaceAllString(strings.ToLower(found[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == id {
			return true
		}
	}
	return false
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
