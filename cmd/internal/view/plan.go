package view

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// PlanView is a plan about to be printed.
type PlanView struct {
	printer   *Printer
	plan      *planner.Plan
	files     map[string]*hcl.File // nil when they are not at hand
	downloads Downloads
	groups    []*group
	counts    counts
	hosts     bool // there are several: name them
	// Full shows each instance of a block, also those to which the same happens as to others.
	Full bool
}

// Plan prepares p for printing. src may be nil.
func (p *Printer) Plan(plan *planner.Plan, src Sources, d Downloads) *PlanView {
	v := &PlanView{printer: p, plan: plan, downloads: d, groups: groups(plan.Changes)}
	if src != nil {
		v.files = src.Files()
	}
	v.counts = count(v.groups, d)
	for _, c := range plan.Changes {
		v.hosts = v.hosts || c.Host != plan.Changes[0].Host
	}
	return v
}

// Text prints the plan for people: drift first, then what will be done, the worst first. What it has to say beyond goes to
// Err, as diagnostics. Of a plan that is refused it prints the reasons alone: it is not a plan that could be carried out.
func (v *PlanView) Text() error {
	if v.plan.Refused() {
		v.findings()
		v.printer.Aside(v.refusal())
		return nil
	}
	var b strings.Builder
	v.writeDrift(&b)
	switch empty := v.plan.Empty() && len(v.groups) == 0; {
	case empty && v.plan.Options.Destroy:
		b.WriteString(v.printer.style.bold("Nothing to destroy.") + "\n")
	case empty:
		b.WriteString(v.printer.style.bold("No changes.") + " The hosts are as the files say.\n")
	default:
		v.writeChanges(&b)
	}
	if _, err := fmt.Fprint(v.printer.Out, b.String()); err != nil {
		return err
	}
	v.findings()
	return nil
}

// refusal says that there is no plan, and why.
func (v *PlanView) refusal() string {
	n := 0
	for _, f := range v.plan.Findings {
		if f.Severity == planner.SeverityError {
			n++
		}
	}
	return fmt.Sprintf("No plan: nothing can be done before %s corrected.", map[bool]string{true: "this error is", false: fmt.Sprintf("these %d errors are", n)}[n == 1])
}

func (v *PlanView) findings() {
	if diags := FindingDiagnostics(v.plan.Findings); len(diags) > 0 {
		fmt.Fprintln(v.printer.Err)
		v.printer.Diagnostics(diags, v.files)
	}
}

// headline is the line that the plan begins and ends with.
func (v *PlanView) headline() string {
	text := v.counts.String()
	if text == "" {
		text = plural(len(v.plan.Steps), "step") + " that change no object"
	}
	return flow(v.printer.Width, "", "  ", span{text: "Plan:", paint: v.printer.style.bold}, span{text: text, near: true})
}

// legend explains the symbols that the plan has; one alone needs no words but those beside it.
func (v *PlanView) legend() string {
	used := map[string]bool{}
	for i := range v.plan.Changes {
		symbol, _ := v.symbol(&v.plan.Changes[i], changeStyle{})
		used[strings.TrimSpace(symbol)] = true
	}
	var spans []span
	for _, s := range [][2]string{
		{"+", "create"},
		{"~", "change"},
		{"-/+", "delete and create again"},
		{"-", "delete"},
		{">", "start or stop"},
		{"<=", "adopt"},
		{"=>", "leave on the host"},
		{"x", "only forget"},
	} {
		if used[s[0]] {
			spans = append(spans, span{text: s[0] + " " + s[1], paint: v.printer.style.dim, whole: true})
		}
	}
	if len(spans) < 2 {
		return ""
	}
	return flow(v.printer.Width, "", "", spans...)
}

// The titles of what is so already.
const (
	driftTitle   = "Changed outside of vmplan"
	pendingTitle = "Pending restart: what takes effect when guests next start"
)

func (v *PlanView) writeDrift(b *strings.Builder) {
	write := func(title string, changes []planner.Change, s changeStyle) {
		if len(changes) == 0 {
			return
		}
		b.WriteString(flow(v.printer.Width, "", "", span{text: title + ":", paint: v.printer.style.bold}) + "\n")
		for i := range changes {
			v.writeChange(b, &changes[i], s)
		}
		b.WriteString("\n")
	}
	write(driftTitle, v.plan.Drift, changeStyle{indent: "  ", drift: true})
	write(pendingTitle, v.plan.Pending, changeStyle{indent: "  ", drift: true, pending: true})
}

func (v *PlanView) writeChanges(b *strings.Builder) {
	b.WriteString(v.headline())
	b.WriteString(v.legend())
	titles := len(v.groups) > 0 && v.groups[0].section() != v.groups[len(v.groups)-1].section()
	list := v.fold()
	for i, g := range list {
		if s := g.section(); titles && (i == 0 || list[i-1].section() != s) {
			b.WriteString("\n" + v.printer.style.bold(sectionTitles[s]+":") + "\n")
		}
		b.WriteString("\n")
		v.writeGroup(b, g)
	}
	b.WriteString("\n" + v.headline())
}

func (v *PlanView) writeGroup(b *strings.Builder, g folded) {
	if !g.own {
		fmt.Fprintf(b, "      %s\n", v.printer.style.bold(clean(g.addr.String())))
	}
	for _, c := range g.changes {
		s := changeStyle{indent: "  "}
		if c.Addr.Part != "" {
			s.indent = "    "
		}
		v.writeChange(b, c, s)
	}
	if len(g.more) > 0 {
		b.WriteString(flow(v.printer.Width, "      ", "        ", span{text: clean(g.moreText())}))
	}
}

// changeStyle says how a change is set.
type changeStyle struct {
	indent  string
	drift   bool // it happened already: no impact, no place in the files
	pending bool // drift too, but by vmplan: it waits for a guest to start
}

// writeChange writes the line of an object and what belongs to it.
func (v *PlanView) writeChange(b *strings.Builder, c *planner.Change, s changeStyle) {
	st, limit := v.printer.style, v.printer.Width
	symbol, paint := v.symbol(c, s)
	in := s.indent + "      "
	place := ""
	if c.Range != nil && !s.drift {
		place = at(c.Range)
	}
	b.WriteString(flow(limit, s.indent, in, span{text: pad(symbol, 3), paint: paint, whole: true},
		span{text: clean(c.Addr.String()), paint: st.bold, whole: true, near: true}, span{text: v.what(c, s)},
		span{text: place, paint: st.dim, whole: true}))
	for _, l := range c.Loses {
		b.WriteString(flow(limit, in, in+"  ", span{text: "loses", paint: st.red}, span{text: clean(l), near: true}))
	}
	for _, k := range c.Keeps {
		b.WriteString(flow(limit, in, in+"  ", span{text: "keeps", paint: st.green}, span{text: clean(k), near: true}))
	}
	if n, ok := v.downloads.bytes[c.Addr]; ok && n > 0 && !s.drift {
		fmt.Fprintf(b, "%sdownloads %s\n", in, bytesText(n))
	}
	if c.Action != planner.ActionDelete && c.Action != planner.ActionForget || s.drift {
		v.writeFields(b, c, in, s)
	}
}

// what says what happens to the object, and why.
func (v *PlanView) what(c *planner.Change, s changeStyle) string {
	switch {
	case s.pending:
		return "waits" // the heading says for what
	case s.drift && c.Action == planner.ActionUpdate:
		return "was changed" // the heading says by whom
	case s.drift:
		return "is gone" + because(c.Cause)
	}
	text := wordOf(c.Action)
	switch {
	case c.Power == "stop" && c.Action == planner.ActionDelete:
		text = "shut down and delete"
	case c.Power != "" && c.Power != string(c.Action):
		text += " and " + c.Power
	case c.Action == planner.ActionUpdate && c.Impact != drivers.ImpactLive:
		text += " (" + impactText(c.Impact) + ")"
	}
	if v.hosts && c.Host != "" {
		text += " on " + clean(c.Host)
	}
	return text + because(tellingCause(c.Cause))
}

// tellingCause is the cause where it tells more than the plan itself.
func tellingCause(cause string) string {
	if cause == planner.CauseAbsent || cause == planner.CauseDestroy {
		return ""
	}
	return cause
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return ": " + clean(cause)
}

func (v *PlanView) symbol(c *planner.Change, s changeStyle) (string, func(string) string) {
	st := v.printer.style
	if s.drift {
		return "  !", st.cyan
	}
	switch c.Action {
	case planner.ActionCreate:
		return "  +", st.green
	case planner.ActionDelete:
		return "  -", st.red
	case planner.ActionReplace:
		return "-/+", st.red
	case planner.ActionStart, planner.ActionStop:
		return "  >", st.cyan
	case planner.ActionAdopt:
		return " <=", st.green
	case planner.ActionRelease:
		return " =>", st.yellow
	case planner.ActionForget:
		return "  x", st.dim
	}
	return "  ~", st.yellow
}
