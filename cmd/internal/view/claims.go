package view

import (
	"fmt"

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
		rows = append(rows, []string{c.Addr.String(), c.Host, c.Name, c.Why})
	}
	return p.table([]string{"ADDRESS", "HOST", "NAME", "WHY"}, rows)
}
