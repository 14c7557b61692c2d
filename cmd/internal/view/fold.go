package view

import (
	"fmt"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

// foldFrom is how many instances of a block must have the same change to be shown as one.
const foldFrom = 3

// listedWhole is up to how many folded instances are listed one by one, where nothing is lost.
const listedWhole = 10

// folded are groups of instances of one block to which the same happens: the first is shown, the others are named.
type folded struct {
	*group
	more []*group
}

// fold puts groups together that read the same but for the instance. With Full, none.
func (v *PlanView) fold() []folded {
	var out []folded
	first := map[string]int{} // index into out, by what is written
	count := map[string]int{}
	texts := make([]string, len(v.groups))
	for i, g := range v.groups {
		if g.addr.Key != "" && !v.Full {
			texts[i] = v.instanceText(g)
			count[texts[i]]++
		}
	}
	for i, g := range v.groups {
		if count[texts[i]] < foldFrom {
			out = append(out, folded{group: g})
			continue
		}
		if at, ok := first[texts[i]]; ok {
			out[at].more = append(out[at].more, g)
			continue
		}
		first[texts[i]] = len(out)
		out = append(out, folded{group: g})
	}
	return out
}

// instanceText is what the plan says of the group, without what only tells it from other instances of its block.
func (v *PlanView) instanceText(g *group) string {
	plain := *v
	plain.printer = New(Streams{})
	var b strings.Builder
	for _, c := range g.changes {
		one := *c
		one.Name = ""
		plain.writeChange(&b, &one, changeStyle{})
	}
	block := g.addr
	block.Key = ""
	known := []string{g.addr.String(), block.String() + "[]", g.addr.Name + "-" + g.addr.KeyText(), g.addr.Name + "-*"}
	for _, c := range g.changes {
		for _, mac := range derivedMACs(v.plan.Lineage, c) {
			known = append(known, mac, "*")
		}
	}
	for _, address := range g.newAddresses() {
		known = append(known, address, "*")
	}
	return fmt.Sprintf("%d %s", g.section(), strings.NewReplacer(known...).Replace(b.String()))
}

// derivedMACs are the MACs of a change that vmplan has made from the address of the vm.
func derivedMACs(lineage string, c *planner.Change) []string {
	var out []string
	for _, f := range c.Fields {
		label, ok := strings.CutPrefix(strings.TrimSuffix(f.Path, ".mac"), "nic.")
		if mac, is := set(f).Text(); ok && is && mac == resource.DefaultMAC(lineage, c.Addr, label, 0) {
			out = append(out, mac)
		}
	}
	return out
}

// newAddresses are the addresses of the nics of a vm that is created.
func (g *group) newAddresses() []string {
	var out []string
	for _, c := range g.changes {
		for _, f := range c.Fields {
			text, ok := f.New.Text()
			if ok && c.Action == planner.ActionCreate && strings.HasPrefix(f.Path, "nic.") && strings.HasSuffix(f.Path, ".address") {
				out = append(out, text)
			}
		}
	}
	return out
}

// name is the address of the block, with those that its nics get.
func (g *group) name() string {
	if list := g.newAddresses(); len(list) > 0 {
		return fmt.Sprintf("%s (%s)", g.addr, strings.Join(list, ", "))
	}
	return g.addr.String()
}

// moreText names the folded instances: all of them where something is lost, else by their range when they are many.
func (f folded) moreText() string {
	names := make([]string, len(f.more))
	for i, g := range f.more {
		names[i] = g.name()
	}
	head := fmt.Sprintf("and %d more, in the same way: ", len(f.more))
	switch last := len(names) - 1; {
	case len(names) <= listedWhole:
	case f.consecutive():
		return head + names[0] + " to " + names[last]
	case f.section() != sectionLost:
		return head + strings.Join(names[:listedWhole], ", ") + fmt.Sprintf(" and %d others (--full shows each)", len(names)-listedWhole)
	}
	return head + strings.Join(names, ", ")
}

// consecutive tells whether the folded instances are all those of a count between the first and the last.
func (f folded) consecutive() bool {
	start, err := strconv.Atoi(f.more[0].addr.KeyText())
	for i, g := range f.more {
		if err != nil || g.addr.Key != resource.IndexKey(start+i) {
			return false
		}
	}
	return true
}
