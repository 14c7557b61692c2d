package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// graph is a directed graph in DOT, by the names of its nodes.
type graph struct{ b strings.Builder }

func newGraph() *graph {
	g := &graph{}
	g.b.WriteString("digraph vmplan {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n")
	return g
}

func (g *graph) node(name, color string) {
	if color != "" {
		color = " [color = " + color + "]"
	}
	fmt.Fprintf(&g.b, "  %s%s\n", strconv.Quote(name), color)
}

func (g *graph) edge(from, to string) {
	fmt.Fprintf(&g.b, "  %s -> %s\n", strconv.Quote(from), strconv.Quote(to))
}

func (p *Printer) graph(g *graph) error {
	_, err := fmt.Fprint(p.Out, g.b.String()+"}\n")
	return err
}

// StepGraph prints the plan's steps in DOT, with edges from each to those that wait for it, dashed to what runs if it fails.
func (p *Printer) StepGraph(plan *planner.Plan) error {
	g := newGraph()
	for _, s := range plan.Steps {
		color := ""
		switch s.Impact {
		case drivers.ImpactRestart:
			color = "orange"
		case drivers.ImpactReplace, drivers.ImpactDestroy:
			color = "red"
		}
		g.node(s.ID, color)
		for _, d := range s.DependsOn {
			g.edge(d, s.ID)
		}
		for _, d := range s.Rescue {
			fmt.Fprintf(&g.b, "  %s -> %s [style = dashed]\n", strconv.Quote(d), strconv.Quote(s.ID))
		}
	}
	return p.graph(g)
}

// ObjectGraph prints the objects in DOT, with edges from each to what it refers to.
func (p *Printer) ObjectGraph(set *resource.Set) error {
	g := newGraph()
	for addr, r := range set.All() {
		g.node(addr.String(), "")
		for _, to := range references(r) {
			if set.Get(to) != nil {
				g.edge(addr.String(), to.String())
			}
		}
	}
	return p.graph(g)
}

// references lists the addresses that r refers to, each once, in the order of its fields.
func references(r resource.Resource) []resource.Addr {
	var out []resource.Addr
	self := r.Base().Addr
	resource.Readdress(r, func(a resource.Addr) resource.Addr {
		if a != self && !a.IsZero() && !slices.Contains(out, a) {
			out = append(out, a)
		}
		return a
	})
	return out
}
