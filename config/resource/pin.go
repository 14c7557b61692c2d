package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Pin is one version of what an image's source has: the one that a lock file holds everybody to, or the one that was
// imported.
type Pin struct {
	// Digest is "sha256:HEX" or "sha512:HEX" of the file as it is downloaded.
	Digest string `json:"digest,omitzero" schema:"local" doc:"sha256:HEX or sha512:HEX of the file as it is downloaded."`
	// Revision counts how often the source was moved to another version since it was first pinned.
	Revision int `json:"revision,omitzero" schema:"local" doc:"How often vmplan image update has moved the source to another version."`
	// Resolved is the location of this very version, for as long as its source keeps it; empty when it has none. It holds
	// no login and no token.
	Resolved string `json:"resolved,omitzero" schema:"input" doc:"The location of this very version, where its source has such a location."`
	// Validator is what the source calls this version; empty when it does not tell versions apart.
	Validator string `json:"validator,omitzero" schema:"input" doc:"What the source calls this version, such as an ETag."`
}

// Version tells a version that the source was moved to from any other: "2 of sha256:HEX". It is empty for the first version,
// and for no pin. Names of files depend on it: it must not change.
func (p *Pin) Version() string {
	if p == nil || p.Revision == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %s", p.Revision, p.Digest)
}

// upgradePin rewrites an image's JSON of earlier versions, which recorded only "revision": Version.
func upgradePin(spec json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(spec, []byte(`"revision":"`)) {
		return spec, nil
	}
	var fields map[string]any
	if err := json.Unmarshal(spec, &fields); err != nil {
		return nil, err
	}
	version, ok := fields["revision"].(string)
	if !ok {
		return spec, nil
	}
	number, digest, _ := strings.Cut(version, " of ")
	revision, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("revision: %w", err)
	}
	delete(fields, "revision")
	fields["pin"] = Pin{Digest: digest, Revision: revision}
	return json.Marshal(fields)
}
