package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
)

// progressEvery is how often a plain log says how far a step is, at most.
const progressEvery = 10 * time.Second

// Progress prints what happens during an apply. Its methods may be called from several goroutines at once.
type Progress struct {
	printer *Printer
	mu      sync.Mutex
	show    shower
	plain   io.Writer // where finished lines go
	said    map[string]time.Time
	now     func() time.Time
	name    string          // of the whole run; empty when there is nothing to sum up if all went well
	all     string          // what was done when all went well
	forced  map[string]bool // steps that stop a guest without asking it
}

// shower is how running steps are shown.
type shower interface {
	began(e apply.Event, text string)
	moved(e apply.Event, text string)
	ended(e apply.Event)
	close()
}

// Progress starts the display for plan: bars on a terminal, plain lines elsewhere, and with asJSON an object a line. A plan
// without changes, as power actions are, gets no summary when all went well.
func (p *Printer) Progress(plan *planner.Plan, asJSON bool) *Progress {
	g := &Progress{printer: p, plain: p.Out, said: map[string]time.Time{}, now: time.Now, forced: map[string]bool{}}
	for _, s := range plan.Steps {
		if stop, ok := s.Op.Op.(*drivers.Stop); ok && stop.Force {
			g.forced[s.ID] = true
		}
	}
	g.all = cmp.Or(count(groups(plan.Changes), Downloads{}).past(), "no object changed")
	switch {
	case plan.Options.Destroy:
		g.name = "Destroy"
	case len(plan.Changes) > 0:
		g.name = "Apply"
	}
	switch {
	case asJSON:
		g.show = nil // see eventJSON
	case p.Live:
		steps := 0
		for _, s := range plan.Steps {
			if s.Op.Op != nil && !verbOf(s.Op.Verb()).silent {
				steps++
			}
		}
		bars := newBars(p, steps)
		g.show, g.plain = bars, bars.container
	default:
		g.show = (*lines)(g)
	}
	return g
}

// Event takes in what happened; it is what apply.Env.Events wants.
func (g *Progress) Event(e apply.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.show == nil {
		g.eventJSON(e)
		return
	}
	verb := verbOf(e.Verb)
	if g.forced[e.Step] {
		verb = switchOff
	}
	if verb.silent && e.Kind != apply.EventFailed {
		return
	}
	switch e.Kind {
	case apply.EventStarted:
		g.show.began(e, fmt.Sprintf("%s: %s…", e.Addr, verb.doing))
	case apply.EventProgress:
		g.show.moved(e, fmt.Sprintf("%s: %s", e.Addr, progressText(e.Progress)))
	case apply.EventDone:
		g.show.ended(e)
		g.line(g.printer.style.green("✓")+" ", fmt.Sprintf("%s: %s (%s)", e.Addr, verb.done, elapsed(e.Elapsed)))
	case apply.EventFailed:
		g.show.ended(e)
		g.line(g.printer.style.red("✗")+" ", fmt.Sprintf("%s: %s (%s)", e.Addr, verb.failed, elapsed(e.Elapsed)))
	case apply.EventSkipped:
		g.line(g.printer.style.yellow("-")+" ", fmt.Sprintf("%s: %s: %s", e.Addr, cmp.Or(verb.skipped, "not "+verb.done), e.Err))
	}
}

// Notice prints a sentence in between.
func (g *Progress) Notice(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.show == nil || !g.printer.Live {
		fmt.Fprintln(g.printer.Err, text)
		return
	}
	fmt.Fprintln(g.plain, "\n"+g.printer.style.yellow(text))
}

// line prints a finished line; mark stands before it on a terminal.
func (g *Progress) line(mark, text string) {
	if !g.printer.Live {
		mark = ""
	}
	fmt.Fprintln(g.plain, mark+clean(text))
}

// Close ends the display and prints the summary; errors go to Err.
func (g *Progress) Close(s apply.Summary) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.show == nil {
		g.summaryJSON(s)
		return
	}
	g.show.close()
	if s.Done+s.Failed+s.Skipped == 0 || g.name == "" && s.OK() {
		return
	}
	fmt.Fprintf(g.printer.Out, "\n%s\n", g.summaryText(s))
	if len(s.Errors) > 0 {
		fmt.Fprintln(g.printer.Err)
	}
	for _, err := range s.Errors {
		g.printer.Error(err)
	}
}

func (g *Progress) summaryText(s apply.Summary) string {
	name, p := cmp.Or(g.name, "Run"), g.printer
	if s.OK() {
		return p.style.green(name+" complete:") + " " + g.all + "."
	}
	head := name + " failed:"
	if s.Interrupted && s.Failed == 0 {
		head = name + " interrupted:"
	}
	parts := []string{plural(s.Done, "step") + " done"}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", s.Failed))
	}
	if s.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d not started", s.Skipped))
	}
	text := p.style.red(head) + " " + strings.Join(parts, ", ") + "."
	if g.name != "" {
		text += fmt.Sprintf(" Another %s goes on from here.", strings.ToLower(g.name))
	}
	return text
}

// due tells whether so much time has gone by since the step was last spoken of, and counts from now on if so.
func (g *Progress) due(step string, every time.Duration) bool {
	now := g.now()
	if now.Sub(g.said[step]) < every {
		return false
	}
	g.said[step] = now
	return true
}

// lines shows running steps as lines of a log.
type lines Progress

func (l *lines) began(e apply.Event, text string) {
	l.said[e.Step] = l.now()
	fmt.Fprintln(l.plain, clean(text))
}

func (l *lines) moved(e apply.Event, text string) {
	if (*Progress)(l).due(e.Step, progressEvery) {
		fmt.Fprintln(l.plain, clean(text))
	}
}

func (l *lines) ended(e apply.Event) { delete(l.said, e.Step) }
func (l *lines) close()              {}

// progressText is "downloading 45% (200 MiB of 450 MiB)", or as much of it as is known.
func progressText(p drivers.Progress) string {
	switch {
	case p.Total > 0:
		return fmt.Sprintf("%s %d%% (%s of %s)", p.Phase, min(p.Done, p.Total)*100/p.Total, bytesText(p.Done), bytesText(p.Total))
	case p.Done > 0:
		return fmt.Sprintf("%s (%s)", p.Phase, bytesText(p.Done))
	}
	return p.Phase
}

// elapsed is a time span with as many digits as people care for.
func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return resource.Duration(d.Round(time.Second)).String()
}

// verb is how a step's operation is spoken of.
type verb struct {
	doing, done, failed string
	skipped             string // if it is not just "not" and done
	silent              bool   // touches only vmplan's own record: not worth a line
}

var verbs = map[string]verb{
	"create":   {doing: "creating", done: "created", failed: "could not be created"},
	"copy":     {doing: "copying its base", done: "base copied", failed: "could not be copied", skipped: "base not copied"},
	"build":    {doing: "building", done: "built", failed: "could not be built"},
	"update":   {doing: "changing", done: "changed", failed: "could not be changed"},
	"delete":   {doing: "deleting", done: "deleted", failed: "could not be deleted"},
	"start":    {doing: "starting", done: "started", failed: "could not be started"},
	"stop":     {doing: "shutting down", done: "shut down", failed: "could not be shut down"},
	"reboot":   {doing: "rebooting", done: "rebooted", failed: "could not be rebooted"},
	"wait":     {doing: "waiting for the guest", done: "ready", failed: "did not become ready"},
	"mark":     {doing: "marking", done: "marked", failed: "could not be marked"},
	"record":   {doing: "recording", done: "recorded", failed: "could not be recorded", silent: true},
	"forget":   {doing: "forgetting", done: "forgotten", failed: "could not be forgotten", silent: true},
	"snapshot": {doing: "taking a snapshot", done: "snapshot taken", failed: "could not be given a snapshot", skipped: "no snapshot taken"},
	"restore":  {doing: "restoring", done: "restored", failed: "could not be restored"},
	"drop":     {doing: "deleting a snapshot", done: "snapshot deleted", failed: "could not be rid of a snapshot", skipped: "snapshot not deleted"},
	"flatten":  {doing: "flattening", done: "flattened", failed: "could not be flattened"},
}

var switchOff = verb{doing: "switching off", done: "switched off", failed: "could not be switched off"}

func verbOf(name string) verb {
	if v, ok := verbs[name]; ok {
		return v
	}
	return verb{doing: name, done: name + " done", failed: name + " failed"}
}
