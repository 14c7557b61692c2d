package view

import (
	"fmt"
	"sync"
	"time"

	"vmplan.dev/vmplan/drivers"
)

// Transfer shows how far one thing is that a command moves outside of a plan: a bar on a terminal, else a line now and then,
// to Err. Its methods may be called from several goroutines at once.
type Transfer struct {
	printer *Printer
	name    string
	bars    *bars // nil: no terminal
	row     *row

	mu   sync.Mutex
	said time.Time
}

// Transfer starts the display for what is called name.
func (p *Printer) Transfer(name string) *Transfer {
	t := &Transfer{printer: p, name: name, said: time.Now()}
	if p.Live {
		t.bars = newBars(p, 1)
		t.row = t.bars.add(name, name)
	}
	return t
}

// Report takes in how far it is.
func (t *Transfer) Report(p drivers.Progress) {
	if t.row != nil {
		t.row.show(fmt.Sprintf("%s: %s", t.name, p.Phase), p)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.said) >= progressEvery {
		t.said = now
		t.printer.Aside(fmt.Sprintf("%s: %s", t.name, progressText(p)))
	}
}

// Close ends the display. What came of it is the caller's to say.
func (t *Transfer) Close() {
	if t.bars != nil {
		t.bars.close()
	}
}
