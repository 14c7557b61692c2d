// Command docs writes the reference pages from what declares the language: the struct tags of the blocks and the table of
// functions. What the pages say beyond that stands in pages.go. It must not know anything of the language by itself.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run . ../../../docs/reference

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docs FOLDER")
		os.Exit(1)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// write puts all pages into the folder dir.
func write(dir string) error {
	pages, err := render()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
