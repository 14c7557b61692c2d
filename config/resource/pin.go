package resource

// Pin is what a lock file says of a source of images: the one version of it that everybody gets.
type Pin struct {
	// Digest is "sha256:HEX" or "sha512:HEX" of the file as it is downloaded.
	Digest string
	// Resolved is the location of this very version, for as long as its source keeps it; empty when it has none.
	Resolved string
	// Validator is what the source calls this version; empty when it does not tell versions apart.
	Validator string
	// Revision counts how often the source was moved to another version since it was first pinned.
	Revision int
}
