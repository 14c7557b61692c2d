package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// Unpacked is a parcel that is ready to be written into a folder.
type Unpacked struct {
	Name       string   // of the appliance
	HCL        []byte   // of PackedFile
	Parameters []string // that have no default
}

// Unpack reads the text of a parcel's PackedFile, which may come from anybody, and has its images come from where its disks
// are: locations by name. What it does otherwise is not looked at before it is loaded.
func Unpack(text []byte, disks map[string]string) (Unpacked, error) {
	if len(text) > maxFileSize {
		return Unpacked{}, fmt.Errorf("%s has %d bytes, which is too much", PackedFile, len(text))
	}
	if d := tooDeep(text, PackedFile); d != nil {
		return Unpacked{}, d
	}
	f, diags := hclwrite.ParseConfig(text, PackedFile, hcl.InitialPos)
	if diags.HasErrors() {
		return Unpacked{}, diags
	}
	var u Unpacked
	for _, b := range f.Body().Blocks() {
		inner := []*hclwrite.Block{b}
		if b.Type() == applianceBlock {
			if u.Name != "" || len(b.Labels()) != 1 || !ValidLabel(b.Labels()[0]) {
				return u, errors.New("it has other than one appliance with a name")
			}
			u.Name, u.Parameters = b.Labels()[0], wantedParameters(b)
			inner = b.Body().Blocks()
		}
		for _, image := range inner {
			if image.Type() != string(resource.KindImage) {
				continue
			}
			if err := unpackDisk(image, disks); err != nil {
				return u, err
			}
		}
	}
	if u.Name == "" {
		return u, errors.New("it has no appliance")
	}
	u.HCL = Format(f.Bytes())
	return u, nil
}

// unpackDisk has an image come from the disk that its source names, if it names one.
func unpackDisk(image *hclwrite.Block, disks map[string]string) error {
	attr := image.Body().GetAttribute(sourceName)
	if attr == nil {
		return nil
	}
	expr, diags := hclsyntax.ParseExpression(attr.Expr().BuildTokens(nil).Bytes(), PackedFile, hcl.InitialPos)
	if diags.HasErrors() {
		return diags
	}
	text, ok := literal(expr)
	name, ok2 := strings.CutPrefix(text, diskSource)
	if !ok || !ok2 {
		return nil
	}
	location := disks[name]
	if location == "" {
		return fmt.Errorf("image %q is of a disk %q, which it does not have", strings.Join(image.Labels(), "."), name)
	}
	image.Body().SetAttributeValue(sourceName, cty.StringVal(location))
	return nil
}

func wantedParameters(b *hclwrite.Block) []string {
	var out []string
	for _, p := range b.Body().Blocks() {
		if p.Type() == parameterBlock && len(p.Labels()) == 1 && p.Body().GetAttribute("default") == nil {
			out = append(out, p.Labels()[0])
		}
	}
	slices.Sort(out)
	return out
}
