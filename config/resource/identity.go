package resource

import (
	"crypto/sha256"
	"fmt"
)

// DefaultMAC is the MAC that a nic of a vm gets when nobody names one: in the range that hypervisors give their guests, which is
// locally administered, and the same for ever in a project. attempt counts up when another nic has the same.
func DefaultMAC(lineage string, vm Addr, nic string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", lineage, vm, nic, attempt))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}
