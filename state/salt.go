package state

import "crypto/sha256"

// Salt is the salt of the state with the lineage. It follows from the lineage, which live objects bear, so that a state
// that is rebuilt from them gives the same hashes and file names as the lost one.
func Salt(lineage string) []byte {
	sum := sha256.Sum256([]byte("vmplan salt\x00" + lineage))
	return sum[:]
}
