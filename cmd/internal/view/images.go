package view

import "strings"

// ImageName is a name that an image's source can be.
type ImageName struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Title   string   `json:"title"`
	Archs   []string `json:"archs"`
}

// ImageNames lists the catalogue, or with asJSON gives it as a list.
func (p *Printer) ImageNames(names []ImageName, asJSON bool) error {
	if asJSON {
		return p.JSON(append([]ImageName{}, names...))
	}
	var rows [][]string
	for _, n := range names {
		rows = append(rows, []string{n.Name, strings.Join(n.Aliases, ", "), strings.Join(n.Archs, ", "), n.Title})
	}
	return p.table([]string{"NAME", "ALSO", "ARCHITECTURES", "WHAT"}, rows)
}
