// Package view is all that vmplan says: plans as text, JSON and Markdown, diagnostics, progress, tables and outputs. It
// only formats what it is given, and writes results to standard output, what went wrong to standard error.
//
// It must not read files, states or hosts, nor decide an exit code. It never prints a secret: it is not given any in clear.
package view

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams are where input comes from and output goes to.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Color allows colours and box drawing, on both outputs.
	Color bool
	// Live tells that Out is a terminal, whose lines can be redrawn.
	Live bool
	// Interactive tells that In is a terminal, so that questions can be asked.
	Interactive bool
	// JSON tells that the command's results are printed as JSON.
	JSON bool
	// Width of the terminal in columns; 0 when there is none: then nothing is wrapped or cut.
	Width int
}

// Terminal makes Streams of the process's files, with what its environment ("KEY=value") says of colours.
func Terminal(in, out, errOut *os.File, environ []string) Streams {
	s := Streams{In: in, Out: out, Err: errOut, Interactive: term.IsTerminal(int(in.Fd()))}
	s.Live = term.IsTerminal(int(out.Fd())) && lookup(environ, "TERM") != "dumb"
	s.Color = s.Live && term.IsTerminal(int(errOut.Fd())) && lookup(environ, "NO_COLOR") == ""
	if s.Live {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil {
			s.Width = w
		}
	}
	return s
}

func lookup(environ []string, name string) string {
	value := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// Printer prints to Streams.
type Printer struct {
	Streams
	style style
}

// New makes a Printer.
func New(s Streams) *Printer { return &Printer{Streams: s, style: style{color: s.Color}} }

// Note prints a sentence beside the results, to Out.
func (p *Printer) Note(text string) { fmt.Fprintln(p.Out, clean(text)) }

// Aside prints a sentence that is no result, to Err: programs that read Out do not see it.
func (p *Printer) Aside(text string) { fmt.Fprintln(p.Err, clean(text)) }

// Prompt prints a question, to Out, and leaves the cursor behind it.
func (p *Printer) Prompt(text string) { fmt.Fprint(p.Out, p.style.bold(text)) }

// JSON prints v as one line of JSON, to Out.
func (p *Printer) JSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err = fmt.Fprintf(p.Out, "%s\n", text)
	return err
}
