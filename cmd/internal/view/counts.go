package view

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Downloads is how much a plan's images have to fetch. The zero value is nothing.
type Downloads struct {
	bytes   map[resource.Addr]int64
	total   int64
	unknown int // images whose size nobody told
}

// NewDownloads says how many bytes each image has to fetch, and of how many images nobody told.
func NewDownloads(bytes map[resource.Addr]int64, unknown int) Downloads {
	d := Downloads{bytes: bytes, unknown: unknown}
	for _, n := range bytes {
		d.total += n
	}
	return d
}

// String is "1.2 GiB", "at least 1.2 GiB", "an unknown size"; empty when nothing is to be fetched.
func (d Downloads) String() string {
	switch {
	case d.total == 0 && d.unknown == 0:
		return ""
	case d.unknown == 0:
		return bytesText(d.total)
	case d.total == 0:
		return "an unknown size"
	}
	return "at least " + bytesText(d.total)
}

// bytesText writes a number of bytes for people, with one digit at most.
func bytesText(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1023.95 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[u:u+1] + "iB"
}

// group is what happens to one block: to the object itself and to the parts it owns.
type group struct {
	addr    resource.Addr
	action  planner.Action
	impact  drivers.Impact
	power   string
	changes []*planner.Change // the block's own first
	own     bool              // the first change is the block's own
}

// section is a part of the plan's text, worst first.
type section uint8

const (
	sectionLost section = iota
	sectionRestart
	sectionRest
)

var sectionTitles = [...]string{"Deleted or replaced", "Restarted or stopped", "Created or changed"}

func (g *group) section() section {
	for _, c := range g.changes {
		if len(c.Loses) > 0 {
			return sectionLost
		}
	}
	switch {
	case g.action == planner.ActionDelete, g.action == planner.ActionReplace, g.action == planner.ActionRestore:
		return sectionLost
	case g.restarts(), g.action == planner.ActionStop, g.power == "stop":
		return sectionRestart
	}
	return sectionRest
}

// restarts tells whether a running guest is shut down and started again.
func (g *group) restarts() bool {
	return g.power == "restart" || g.action == planner.ActionUpdate && g.impact == drivers.ImpactRestart
}

// groups puts the changes of one block together, the worst section first, then in the order of the plan.
func groups(changes []planner.Change) []*group {
	var out []*group
	byOwner := map[resource.Addr]*group{}
	for i := range changes {
		c := &changes[i]
		g := byOwner[c.Addr.Owner()]
		if g == nil {
			g = &group{addr: c.Addr.Owner(), action: planner.ActionUpdate}
			byOwner[g.addr] = g
			out = append(out, g)
		}
		g.add(c)
	}
	slices.SortStableFunc(out, func(a, b *group) int { return int(a.section()) - int(b.section()) })
	return out
}

func (g *group) add(c *planner.Change) {
	if c.Addr.Part == "" {
		g.action, g.impact, g.power, g.own = c.Action, c.Impact, c.Power, true
		g.changes = slices.Insert(g.changes, 0, c)
		return
	}
	if !g.own {
		g.impact = max(g.impact, c.Impact)
		if c.Action == planner.ActionCreate {
			g.impact = max(g.impact, drivers.ImpactLive)
		}
	}
	g.changes = append(g.changes, c)
}

// counts is what the head and the foot of a plan say.
type counts struct {
	actions   map[planner.Action]int // blocks
	impacts   map[drivers.Impact]int // of the updates without a restart
	restarts  []resource.Addr
	restarted int // how many of restarts are updates
	lost      int // disks and volumes
	download  string
}

func count(gs []*group, d Downloads) counts {
	c := counts{actions: map[planner.Action]int{}, impacts: map[drivers.Impact]int{}, download: d.String()}
	for _, g := range gs {
		c.lost += g.lost()
		if g.restarts() {
			c.restarts = append(c.restarts, g.addr)
		}
		c.actions[g.action]++
		switch {
		case g.action != planner.ActionUpdate:
		case g.restarts():
			c.restarted++
		default:
			c.impacts[g.impact]++
		}
	}
	return c
}

// lost counts the storage that cannot be got back: what the parts and the block say, each once.
func (g *group) lost() int {
	var seen []string
	for _, c := range g.changes {
		if c.Kind == resource.KindVM {
			continue // what else goes with it is not storage
		}
		for _, l := range c.Loses {
			if c.Action != planner.ActionRestore && !slices.Contains(seen, l) { // its disks are there still
				seen = append(seen, l)
			}
		}
	}
	return len(seen)
}

var countedActions = []planner.Action{
	planner.ActionCreate, planner.ActionAdopt, planner.ActionUpdate, planner.ActionReplace, planner.ActionDelete,
	planner.ActionRelease, planner.ActionForget, planner.ActionRestore, planner.ActionFlatten, planner.ActionStart, planner.ActionStop,
}

// String is "2 to create, 0 disks lost, 1.2 GiB to download"; with changes "2 to create; 3 to change: 1 live, 2 with a restart
// (vm.db, vm.web); 0 disks lost".
func (c counts) String() string {
	var parts []string
	between, harmless := ", ", true
	for _, a := range countedActions {
		n := c.actions[a]
		if n == 0 {
			continue
		}
		text := fmt.Sprintf("%d to %s", n, wordOf(a))
		if a == planner.ActionUpdate {
			text, between = text+": "+c.impactText(), "; "
		}
		parts = append(parts, text)
		harmless = harmless && a == planner.ActionCreate
	}
	if n := len(c.restarts); n > c.restarted {
		parts = append(parts, fmt.Sprintf("%s (%s)", plural(n, "restart"), nameSome(c.restarts)))
		harmless = false
	}
	if !harmless || c.lost > 0 {
		parts = append(parts, plural(c.lost, "disk")+" lost")
	}
	if c.download != "" {
		parts = append(parts, c.download+" to download")
	}
	return strings.Join(parts, between)
}

var pastTense = map[planner.Action]string{
	planner.ActionCreate: "created", planner.ActionAdopt: "adopted", planner.ActionUpdate: "changed", planner.ActionReplace: "replaced",
	planner.ActionDelete: "deleted", planner.ActionRelease: "released", planner.ActionForget: "forgotten",
	planner.ActionRestore: "restored", planner.ActionFlatten: "flattened", planner.ActionStart: "started", planner.ActionStop: "stopped",
}

// past is "2 created, 1 changed, 1 restarted"; empty when no object changed.
func (c counts) past() string {
	var parts []string
	for _, a := range countedActions {
		n := c.actions[a]
		if a == planner.ActionUpdate {
			n -= c.restarted
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, pastTense[a]))
		}
	}
	if n := len(c.restarts); n > 0 {
		parts = append(parts, fmt.Sprintf("%d restarted", n))
	}
	return strings.Join(parts, ", ")
}

// impactText is "1 live, 2 with a restart (vm.db, vm.web)".
func (c counts) impactText() string {
	var parts []string
	if c.restarted > 0 {
		text := fmt.Sprintf("%d with a restart", c.restarted)
		if c.restarted == len(c.restarts) { // else they are named on their own
			text += " (" + nameSome(c.restarts) + ")"
		}
		parts = append(parts, text)
	}
	for i := drivers.ImpactDestroy + 1; i > 0; i-- {
		if n := c.impacts[i-1]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, impactText(i-1)))
		}
	}
	return strings.Join(parts, ", ")
}

// nameSome lists at most three addresses.
func nameSome(addrs []resource.Addr) string {
	const most = 3
	var names []string
	for i, a := range addrs {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(addrs)-most))
			break
		}
		names = append(names, a.String())
	}
	return strings.Join(names, ", ")
}

// wordOf is the action as the plan says it.
func wordOf(a planner.Action) string {
	if a == planner.ActionUpdate {
		return "change"
	}
	return string(a)
}

func impactText(i drivers.Impact) string {
	switch i {
	case drivers.ImpactRecord:
		return "on record only"
	case drivers.ImpactNextBoot:
		return "at next boot"
	}
	return i.String()
}
