package view

import (
	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// formatVersion is the version of the JSON form of diagnostics; docs/json.md and docs/schema document all forms. A change that
// old readers do not understand raises the number before the dot, an addition that behind it.
const formatVersion = "1.0"

type diagnosticsJSON struct {
	FormatVersion string           `json:"format_version"`
	Type          string           `json:"type"` // diagnostics
	Valid         bool             `json:"valid"`
	ErrorCount    int              `json:"error_count"`
	WarningCount  int              `json:"warning_count"`
	Diagnostics   []diagnosticJSON `json:"diagnostics"`
}

type diagnosticJSON struct {
	Severity string          `json:"severity"` // error or warning
	Summary  string          `json:"summary"`
	Detail   string          `json:"detail"`
	Addr     string          `json:"addr,omitempty"`
	Path     string          `json:"path,omitempty"`
	Range    *resource.Range `json:"range,omitempty"`
	Snippet  *snippetJSON    `json:"snippet,omitempty"`
}

// snippetJSON is the source range's text, whole lines of it; the highlight counts bytes from its beginning.
type snippetJSON struct {
	Code      string `json:"code"`
	StartLine int    `json:"start_line"`
	Start     int    `json:"highlight_start_offset"`
	End       int    `json:"highlight_end_offset"`
}

// DiagnosticsJSON prints mistakes and warnings, to Out, as one JSON object. files may be nil.
func (p *Printer) DiagnosticsJSON(diags hcl.Diagnostics, files map[string]*hcl.File) error {
	out := diagnosticsJSON{FormatVersion: formatVersion, Type: "diagnostics", Diagnostics: diagnosticList(diags, files)}
	for _, d := range out.Diagnostics {
		if d.Severity == "error" {
			out.ErrorCount++
		} else {
			out.WarningCount++
		}
	}
	out.Valid = out.ErrorCount == 0
	return p.JSON(out)
}

func diagnosticList(diags hcl.Diagnostics, files map[string]*hcl.File) []diagnosticJSON {
	out := []diagnosticJSON{}
	for _, d := range diags {
		j := diagnosticJSON{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if d.Subject != nil {
			j.Range = rangeForm(*d.Subject)
			j.Snippet = snippetForm(*d.Subject, files[d.Subject.Filename])
		}
		out = append(out, j)
	}
	return out
}

func rangeForm(r hcl.Range) *resource.Range {
	return &resource.Range{File: r.Filename, Start: resource.Position(r.Start), End: resource.Position(r.End)}
}

func snippetForm(r hcl.Range, file *hcl.File) *snippetJSON {
	if file == nil || r.Start.Byte < 0 || r.Start.Byte > r.End.Byte || r.End.Byte > len(file.Bytes) {
		return nil
	}
	src, start, end := file.Bytes, r.Start.Byte, r.End.Byte
	for start > 0 && src[start-1] != '\n' {
		start--
	}
	for end < len(src) && src[end] != '\n' {
		end++
	}
	return &snippetJSON{Code: resource.RedactLine(string(src[start:end])), StartLine: r.Start.Line, Start: r.Start.Byte - start, End: r.End.Byte - start}
}
