package view

import (
	"cmp"
	"fmt"
	"strings"

	"vmplan.dev/vmplan/planner"
)

// Rebuilt prints what state rebuild found: what it records, and what it leaves.
func (p *Printer) Rebuilt(r *planner.Rebuilt, lineage string, dryRun bool) error {
	verb := "Recorded"
	if dryRun {
		verb = "Would be recorded"
	}
	fmt.Fprintf(p.Out, "Project %s\n", lineage)
	if err := p.claims(verb, r.Taken); err != nil {
		return err
	}
	if err := p.claims("Not taken (an import block takes it)", r.Left); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.Out)
	return err
}

func (p *Printer) claims(heading string, claims []planner.Claim) error {
	if len(claims) == 0 {
		return nil
	}
	fmt.Fprintf(p.Out, "\n%s:\n\n", heading)
	var rows [][]string
	for _, c := range claims {
		rows = append(rows, []string{cmp.Or(c.Addr.String(), "-"), c.Host, c.Name, c.Why})
	}
	return p.table([]string{"ADDRESS", "HOST", "NAME", "WHY"}, rows)
}

// Orphans prints live objects that bear the project's mark and are not managed, or with asJSON a list of them.
func (p *Printer) Orphans(orphans []planner.Orphan, asJSON bool) error {
	if asJSON {
		return p.JSON(append([]planner.Orphan{}, orphans...))
	}
	if len(orphans) == 0 {
		fmt.Fprintln(p.Err, "No orphans.")
		return nil
	}
	var rows [][]string
	for _, o := range orphans {
		why := o.Why
		if o.Wanted {
			why += ", and is in the files: the next apply takes it back"
		}
		rows = append(rows, []string{o.Addr.String(), o.Host, o.Name, cmp.Or(string(o.Power), "-"), cmp.Or(strings.Join(o.Owns, ", "), "-"), why})
	}
	return p.table([]string{"ADDRESS", "HOST", "NAME", "POWER", "OWNS", "WHY"}, rows)
}
