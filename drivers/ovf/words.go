package ovf

import (
	"net"
	"regexp"
	"strings"
)

// models are the network cards by what they are called in descriptors.
var models = []struct{ name, model string }{
	{"virtio", "virtio"}, {"vmxnet3", "virtio"}, {"e1000e", "e1000e"}, {"e1000", "e1000"}, {"pcnet32", "rtl8139"}, {"rtl8139", "rtl8139"},
}

func modelOf(subType string) string {
	for _, m := range models {
		if strings.Contains(strings.ToLower(subType), m.name) {
			return m.model
		}
	}
	return ""
}

// busOf names the bus of a controller. What is neither virtio nor known is best served by SATA, for which every system has
// a driver.
func busOf(subType string) string {
	if strings.Contains(strings.ToLower(subType), "virtio") {
		return "virtio"
	}
	return "sata"
}

// macOf gives the address if it is the MAC of one card, else nothing.
func macOf(text string) string {
	mac, err := net.ParseMAC(strings.TrimSpace(text))
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return ""
	}
	return mac.String()
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func uuidOf(text string) string {
	if text = strings.ToLower(strings.TrimSpace(text)); uuid.MatchString(text) {
		return text
	}
	return ""
}
