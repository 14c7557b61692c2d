package view

import (
	"errors"
	"time"

	"vmplan.dev/vmplan/planner/apply"
)

// eventLine is one line of `apply --json`; docs/json.md documents it.
type eventLine struct {
	Type    string   `json:"type"` // started, progress, done, failed, skipped
	Time    string   `json:"time"`
	Step    string   `json:"step"`
	Addr    string   `json:"addr"`
	Verb    string   `json:"verb"`
	Phase   string   `json:"phase,omitempty"`
	Done    *int64   `json:"done,omitempty"`
	Total   int64    `json:"total,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type summaryLine struct {
	Type        string      `json:"type"` // summary
	Time        string      `json:"time"`
	Done        int         `json:"done"`
	Failed      int         `json:"failed"`
	Skipped     int         `json:"skipped"`
	Interrupted bool        `json:"interrupted"`
	Errors      []errorLine `json:"errors"`
}

type errorLine struct {
	Step  string `json:"step,omitempty"`
	Addr  string `json:"addr,omitempty"`
	Error string `json:"error"`
}

// jsonProgressEvery is how often a line says how far a step is, at most.
const jsonProgressEvery = 5 * time.Second

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func (g *Progress) stamp() string { return g.now().Format(timeFormat) }

// say prints a line. That nobody reads it any more must not stop an apply.
func (g *Progress) say(line any) { _ = g.printer.JSON(line) }

var eventNames = [...]string{
	apply.EventStarted: "started", apply.EventProgress: "progress", apply.EventDone: "done", apply.EventFailed: "failed",
	apply.EventSkipped: "skipped",
}

func (g *Progress) eventJSON(e apply.Event) {
	l := eventLine{Type: eventNames[e.Kind], Time: g.stamp(), Step: e.Step, Addr: e.Addr.String(), Verb: e.Verb}
	switch e.Kind {
	case apply.EventProgress:
		if !g.due(e.Step, jsonProgressEvery) {
			return
		}
		l.Phase, l.Done, l.Total = e.Progress.Phase, &e.Progress.Done, e.Progress.Total
	case apply.EventDone, apply.EventFailed:
		seconds := e.Elapsed.Seconds()
		l.Seconds = &seconds
	}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	g.say(l)
}

func (g *Progress) summaryJSON(s apply.Summary) {
	l := summaryLine{
		Type: "summary", Time: g.stamp(), Done: s.Done, Failed: s.Failed, Skipped: s.Skipped,
		Interrupted: s.Interrupted, Errors: []errorLine{},
	}
	for _, err := range s.Errors {
		el := errorLine{Error: err.Error()}
		var step *apply.StepError
		if errors.As(err, &step) {
			el.Step, el.Addr = step.Step, step.Addr.String()
		}
		l.Errors = append(l.Errors, el)
	}
	g.say(l)
}
