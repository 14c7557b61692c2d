package xmltree

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"
)

// A tree keeps what a document says, and is as strict as it needs to be.
func FuzzTree(f *testing.F) {
	f.Add(`<?xml version="1.0"?><!-- c --><a b='1 &lt; "2"' c="'"><b/> text &#x41; <![CDATA[<&>]]></a>`)
	f.Add(`<a><b></a></b>`)
	f.Add(`<a`)
	for _, name := range []string{"uefi.xml", "network-nat.xml"} {
		text, err := os.ReadFile(filepath.Join("../../testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := Parse(text)
		if err != nil {
			return
		}
		written := tree.String()
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", text, written, err)
		}
		if again.String() != written {
			t.Errorf("%q was written as %q and then as %q", text, written, again)
		}
	})
}

// What the tree reads is what encoding/xml reads.
func TestTreeAgreesWithTheStandardLibrary(t *testing.T) {
	text, err := os.ReadFile("../../testdata/uefi.xml")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var one, two libvirtxml.Domain
	if err := one.Unmarshal(string(text)); err != nil {
		t.Fatal(err)
	}
	if err := two.Unmarshal(tree.String()); err != nil {
		t.Fatal(err)
	}
	a, err := xml.Marshal(&one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := xml.Marshal(&two)
	if err != nil {
		t.Fatal(err)
	}
	if blank := strings.NewReplacer("\n", "", "  ", ""); blank.Replace(string(a)) != blank.Replace(string(b)) {
		t.Errorf("%s\nis read as\n%s", a, b)
	}
}
