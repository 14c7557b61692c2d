package resource

import "fmt"

// Range is a piece of one of the project's files.
type Range struct {
	File  string   `json:"filename"` // relative to the project's folder
	Start Position `json:"start"`
	End   Position `json:"end"` // behind the last character
}

// Position is a place in a file. Line and Column count from 1, Column in characters; Byte counts from 0.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// String is "main.hcl:12".
func (r Range) String() string { return fmt.Sprintf("%s:%d", r.File, r.Start.Line) }
