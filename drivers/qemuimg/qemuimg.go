// Package qemuimg runs qemu-img, for what no Go library does as well: converting disks between formats.
//
// It must not decide what is safe to read: an image from elsewhere is looked at before it is given to qemu-img, which
// follows what the image names.
package qemuimg

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// Conversion is one image made of another.
type Conversion struct {
	From, FromFormat string
	To, ToFormat     string
	Options          string // of the target's format, as -o takes them
	// Report is told how far it is, from 0 to 1. It may be nil.
	Report func(done float64)
}

// ErrMissing tells that qemu-img is not installed.
var ErrMissing = errors.New("qemu-img, which converts disks, is not installed: " +
	"it is in the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or qemu (Homebrew)")

// Run converts. The source stands for itself: a backing file that it names is not read. Ending ctx ends qemu-img, and leaves
// the target as far as it came.
func (c *Conversion) Run(ctx context.Context) error {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		return ErrMissing
	}
	from := map[string]any{"driver": c.FromFormat, "file": map[string]any{"driver": "file", "filename": c.From}}
	if c.FromFormat != "raw" {
		from["backing"] = nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	args := []string{"convert", "-p", "-O", c.ToFormat}
	if c.Options != "" {
		args = append(args, "-o", c.Options)
	}
	cmd := exec.CommandContext(ctx, tool, append(args, "json:"+string(text), c.To)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("qemu-img: %w", err)
	}
	c.tell(out)
	err = cmd.Wait()
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		said := strings.NewReplacer(c.From, "the image", "qemu-img: ", "").Replace(strings.TrimSpace(stderr.String()))
		return fmt.Errorf("qemu-img: %w: %s", err, said)
	}
	return nil
}

// tell passes on how far qemu-img is, which it writes as "(12.34/100%)".
func (c *Conversion) tell(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadString('\r')
		_, number, ok := strings.Cut(text, "(")
		percent, _, _ := strings.Cut(number, "/")
		done, parseErr := strconv.ParseFloat(percent, 64)
		if ok && parseErr == nil && done >= 0 && done <= 100 && c.Report != nil {
			c.Report(done / 100)
		}
		if err != nil {
			return
		}
	}
}
