package config

import (
	"strings"
	"testing"
)

func TestUnpackGivesImagesTheirPlace(t *testing.T) {
	disks := map[string]string{"debian": "oci://registry.example/shop@sha256:0"}
	u, err := Unpack([]byte(`
image "debian" { source = "disk:debian" }
image "other" { source = "https://mirror.example/other.qcow2" }
appliance "shop" {
  image = image.debian
  image "inner" {
    source = "disk:debian"
  }
  parameter "site" {}
  parameter "number" { default = 1 }
  vm {}
}
`), disks)
	if err != nil {
		t.Fatal(err)
	}
	text := string(u.HCL)
	if u.Name != "shop" || strings.Join(u.Parameters, " ") != "site" {
		t.Errorf("appliance %q wants %q", u.Name, u.Parameters)
	}
	if strings.Count(text, disks["debian"]) != 2 || strings.Contains(text, diskSource) || !strings.Contains(text, "https://mirror.example/other.qcow2") {
		t.Errorf("the images are in the wrong place:\n%s", text)
	}
}

// hostileParcels are texts from somebody who wants to do harm, and a part of why each is refused.
var hostileParcels = map[string]string{
	"":                                       "no appliance",
	`image "x" { source = "disk:debian" }`:   "no appliance",
	"appliance \"a\" {}\nappliance \"b\" {}": "other than one appliance",
	`appliance "../../etc" {}`:               "other than one appliance",
	`appliance "a" "b" {}`:                   "other than one appliance",
	"appliance \"a\" {\n image \"x\" {\n  source = \"disk:none\"\n }\n}": "which it does not have",
	`appliance "a" {`: "Unclosed configuration block",
	`appliance "a" { x = ` + strings.Repeat("(", 10000) + "1" + strings.Repeat(")", 10000) + " }": "Nesting too deep",
	strings.Repeat("#", maxFileSize+1): "too much",
	"\xff\xfe":                         "",
}

func TestUnpackRefusesWhatIsNoAppliance(t *testing.T) {
	for text, want := range hostileParcels {
		if _, err := Unpack([]byte(text), map[string]string{"debian": "x"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// FuzzUnpack: whatever comes, it is refused, or has one appliance by whose name files can be called.
func FuzzUnpack(f *testing.F) {
	const most = 64 << 10 // more is only slower
	for text := range hostileParcels {
		f.Add([]byte(text[:min(len(text), most)]))
	}
	f.Add([]byte("appliance \"shop\" {\n image \"x\" {\n  source = \"disk:debian\"\n }\n vm {}\n}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > most {
			return
		}
		u, err := Unpack(text, map[string]string{"debian": "oci://x/y@sha256:0"})
		if err != nil {
			return
		}
		if !ValidLabel(u.Name) {
			t.Errorf("the appliance is called %q", u.Name)
		}
		if _, err := Unpack(u.HCL, nil); err != nil {
			t.Errorf("what was unpacked is not read again: %v\n%s", err, u.HCL)
		}
	})
}

func TestWhatAProjectTrustsAnApplianceWith(t *testing.T) {
	a := &appliance{trust: []string{"registry.example/team/shop", "127.0.0.1:5000"}}
	for location, want := range map[string]bool{
		"oci://registry.example/team/shop:v1":                    true,
		"oci+http://registry.example/team/shop@sha256:00":        true,
		"oci://registry.example/team/shop/disks:v1":              true,
		"oci://127.0.0.1:5000/any:v1":                            true,
		"oci://registry.example/team/shopping:v1":                false,
		"oci://registry.example/team":                            false,
		"oci://127.0.0.1:50001/any:v1":                           false,
		"https://registry.example/team/shop/../other.raw":        false,
		"https://registry.example/team/shop/%2e%2e%2fother.raw":  false,
		"https://registry.example:x@evil.example/team/shop":      false,
		"https://evil.example/registry.example/team/shop":        false,
		"https://evil.example/#registry.example/team/shop":       false,
		"https://registry.example/team/shop?/../../team/private": true,
	} {
		if a.trusts(location) != want {
			t.Errorf("%s: %v, want %v", location, !want, want)
		}
	}
}
