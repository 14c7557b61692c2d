package view

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner/apply"
)

// mostBars is how many running steps are shown at once; the others go on unseen.
const mostBars = 12

// barWidth is the number of columns of a bar itself.
const barWidth = 24

// bars shows running steps at the bottom of a terminal, each in a line that is redrawn: transfers with a bar.
type bars struct {
	container *mpb.Progress
	style     style
	running   map[string]*row
	whole     *mpb.Bar // how far the run is; nil when that is seen at a glance
	done      atomic.Int64
}

// newBars shows a run of so many steps.
func newBars(p *Printer, steps int) *bars {
	b := &bars{
		container: mpb.New(mpb.WithOutput(p.Out), mpb.WithAutoRefresh(), mpb.WithWidth(p.Width), mpb.WithRefreshRate(120*time.Millisecond)),
		style:     p.style,
		running:   map[string]*row{},
	}
	if steps > mostBars {
		began := time.Now()
		b.whole = b.container.MustAdd(1, mpb.BarFillerFunc(func(w io.Writer, stat decor.Statistics) error {
			text := fmt.Sprintf("  %d of %d steps  %s", b.done.Load(), steps, time.Since(began).Round(time.Second))
			_, err := io.WriteString(w, b.style.bold(cut(text, max(stat.AvailableWidth, 1))))
			return err
		}), mpb.BarPriority(math.MaxInt))
	}
	return b
}

// row is one running step.
type row struct {
	bar     *mpb.Bar
	style   style
	started time.Time

	mu       sync.Mutex
	text     string
	progress drivers.Progress
}

func (b *bars) began(e apply.Event, text string) {
	if len(b.running) >= mostBars || b.running[e.Step] != nil {
		return
	}
	b.add(e.Step, text)
}

func (b *bars) add(step, text string) *row {
	r := &row{style: b.style, started: time.Now(), text: text}
	r.bar = b.container.MustAdd(1, mpb.BarFillerFunc(r.fill))
	b.running[step] = r
	return r
}

func (b *bars) moved(e apply.Event, _ string) {
	if r := b.running[e.Step]; r != nil {
		r.show(fmt.Sprintf("%s: %s", e.Addr, e.Progress.Phase), e.Progress)
	}
}

func (r *row) show(text string, p drivers.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text, r.progress = text, p
}

func (b *bars) ended(e apply.Event) {
	b.done.Add(1)
	if r := b.running[e.Step]; r != nil {
		r.bar.Abort(true) // not waited for: that takes until the next time the bars are drawn
		delete(b.running, e.Step)
	}
}

func (b *bars) close() {
	for _, r := range b.running {
		r.bar.Abort(true)
	}
	if b.whole != nil {
		b.whole.Abort(true)
	}
	b.container.Wait()
}

// fill draws the row.
func (r *row) fill(w io.Writer, stat decor.Statistics) error {
	r.mu.Lock()
	text, p := r.text, r.progress
	r.mu.Unlock()
	tail := time.Since(r.started).Round(time.Second).String()
	switch {
	case p.Total > 0:
		tail = fmt.Sprintf("%s %3d%% of %s  %s", drawBar(p), min(p.Done, p.Total)*100/p.Total, bytesText(p.Total), tail)
	case p.Done > 0:
		tail = bytesText(p.Done) + "  " + tail
	}
	line := cut("  "+clean(text)+"  "+tail, max(stat.AvailableWidth, 1))
	_, err := io.WriteString(w, r.style.dim(line))
	return err
}

func drawBar(p drivers.Progress) string {
	full := int(min(p.Done, p.Total) * barWidth / p.Total)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
}
