package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// What the guest that builds an image has unless its block says otherwise.
const (
	builderMemory  = resource.GiB
	builderTimeout = resource.Duration(30 * time.Minute)
)

// completeOrigin checks where an image's bits come from, and gives one that is made from another image what that says of the vms
// made from it.
func (e *evaluator) completeOrigin(o *object, img *resource.Image) {
	if !img.IsManaged() || o.bad["source"] || o.bad["from"] {
		return
	}
	switch {
	case img.Source == "" && img.From.IsZero():
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s needs source, a file to import, or from, an image, vm or volume that it is made from.", o.addr))
		o.fail("source")
	case img.Source != "" && !img.From.IsZero():
		e.rep.addFirst(mistake(o.at("from"), "Both source and from", "%s is either imported from its source or made from %s. Keep one of the two.", o.addr, img.From))
		o.fail("from")
	case img.From.IsZero() && img.Builds():
		block := "build"
		if img.Build == nil {
			block = "seal"
		}
		e.rep.addFirst(mistake(o.at(block), "Nothing to build from", "A source is imported as it is. Declare one image with the source, and make %s from it: from = image.NAME.", o.addr))
	case !img.From.IsZero() && img.Checksum != "":
		e.rep.addFirst(mistake(o.at("checksum"), "Checksum without a source", "A checksum is of a file that is downloaded, and %s is made from %s. Take it out.", o.addr, img.From))
	}
	e.checkSeal(o, img.Seal)
	e.checkOrigin(o, img)
}

func (e *evaluator) checkSeal(o *object, seal *resource.Seal) {
	if seal == nil || o.bad["seal.keep"] {
		return
	}
	for _, part := range seal.Keep {
		if !slices.Contains(resource.SealParts, part) {
			e.rep.addFirst(mistake(o.at("seal.keep"), "Value not allowed", "seal.keep lists what is not removed: %s. There is no %q.%s", oneOf(resource.SealParts), part, didYouMean(part, resource.SealParts)))
		}
	}
}

// checkOrigin looks at what the image is made from.
func (e *evaluator) checkOrigin(o *object, img *resource.Image) {
	of := e.byID[img.From.String()]
	if of == nil || img.From.IsZero() {
		return
	}
	switch from := of.res.(type) {
	case *resource.Image:
		complete.OrElse(&img.Instancetype, from.Instancetype)
		complete.OrElse(&img.Preference, from.Preference)
		complete.OrElse(&img.MinMemory, from.MinMemory)
		complete.OrElse(&img.MinVCPUs, from.MinVCPUs)
		complete.OrElse(&img.MinDisk, from.MinDisk)
	case *resource.VM:
		if !from.IsManaged() {
			e.rep.addFirst(mistake(o.at("from"), "Disk not known", "%s has managed = false, so its disks are not known. Name the volume: volume \"NAME\" { managed = false  name = FILE }.", img.From))
			o.fail("from")
		}
	}
}

// built settles what an image that is not imported is made from and how, and names its file after that.
func (p *placement) built(o *object, img *resource.Image) {
	img.Origin, img.OriginBacking = p.origin(o, img)
	p.commands(o, img)
	if img.Builds() {
		img.Builder = p.builder(o, img)
	}
	complete.OrElse(&img.Format, p.defaultsOf(o).DiskFormat)
	content, err := json.Marshal(bitsOf(img))
	if err != nil {
		panic("config: an image cannot be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(append([]byte(p.namespace.Lineage+"\x00"), content...))
	img.File = fmt.Sprintf("%s-%s.%s", img.Name, hex.EncodeToString(sum[:4]), img.Format)
	p.useRecordedImageFile(img)
}

// bitsOf is what makes an image's bits what they are.
func bitsOf(img *resource.Image) *resource.Image {
	own := withoutInputs(img)
	return &resource.Image{
		Source: img.Source, FullSource: img.FullSource, Checksum: img.Checksum, FullChecksum: img.FullChecksum,
		Format: img.Format, Origin: img.Origin, OriginBacking: img.OriginBacking,
		Build: own.Build, Seal: own.Seal,
	}
}

// origin gives the volume that an image is copied from, and what that is an overlay of.
func (p *placement) origin(o *object, img *resource.Image) (id, backing string) {
	of := p.target(o, "from", img.From)
	if of == nil || o.bad["from"] {
		return "", ""
	}
	if vm, ok := of.res.(*resource.VM); ok && len(vm.Disks) > 0 {
		disk := vm.Disks[0]
		if disk.Volume.IsZero() {
			v, _ := p.ownDisk(of, vm, &disk)
			if v == nil {
				return "", ""
			}
			return resource.VolumeID(v), v.Backing
		}
		of = p.target(of, diskPart+disk.Label+".volume", disk.Volume)
	}
	if of == nil {
		return "", ""
	}
	switch from := of.res.(type) {
	case *resource.Image:
		p.image(of, from)
		return resource.VolumeID(from), ""
	case *resource.Volume:
		p.volume(of, from)
		return resource.VolumeID(from), from.Backing
	}
	return "", "" // a vm without a disk, which is reported
}

// commands numbers what is run, and reads what is copied.
func (p *placement) commands(o *object, img *resource.Image) {
	if b := img.Build; b != nil {
		b.Commands = p.numbered(o, "build.run", b.Run)
		b.Files = p.copied(o, b.Copy)
	}
	if s := img.Seal; s != nil {
		s.Commands = p.numbered(o, "seal.run", s.Run)
	}
}

func (p *placement) numbered(o *object, path string, run []string) []resource.Command {
	var out []resource.Command
	for i, text := range run {
		c := resource.Command{Number: strconv.Itoa(i + 1), Text: text}
		if sealed := o.sealed[path]; i < len(sealed) && sealed[i] {
			c.Text, c.Secret = "", resource.NewSecret(text, p.prior.Salt)
		}
		out = append(out, c)
	}
	return out
}

// builder is the hardware that the bits boot on: the vm's that they are from, or that of vms made from the image.
func (p *placement) builder(o *object, img *resource.Image) *resource.Builder {
	b := &resource.Builder{Memory: builderMemory, VCPUs: complete.DefaultVCPUs, Timeout: builderTimeout}
	vm, pref := &resource.VM{Preference: img.Preference}, complete.Preference{}
	if of := p.byID[img.From.String()]; of != nil && img.From.Kind == resource.KindVM {
		vm = resource.Clone(of.res.(*resource.VM))
	}
	pref = p.hardware(o.scope, vm)
	b.Arch, b.Machine, b.Firmware, b.SecureBoot, b.CPU = vm.Arch, vm.Machine, vm.Firmware, vm.SecureBoot, vm.CPU
	b.DiskBus, b.NICModel = pref.DiskBus, pref.NICModel
	if len(vm.Disks) > 0 {
		b.DiskBus = vm.Disks[0].Bus
	}
	if h := p.host(img.Host); h != nil {
		b.DomainType = h.DomainType
	}
	if build := img.Build; build != nil {
		if build.Memory != 0 {
			b.Memory = build.Memory
		}
		if build.VCPUs != 0 {
			b.VCPUs = build.VCPUs
		}
		if build.Timeout != 0 {
			b.Timeout = build.Timeout
		}
		nic := resource.NIC{Network: build.Network}
		p.connect(o, "build.network", &nic)
		b.Network, b.Bridge = nic.Source, nic.Bridge
	}
	return b
}

// withoutInputs is the image without what has become something else by now.
func withoutInputs(img *resource.Image) *resource.Image {
	own := *img
	own.Instancetype, own.Preference, own.OS = "", "", "" // the vms made from it have them now
	own.MinMemory, own.MinVCPUs, own.MinDisk = 0, 0, 0
	if b := img.Build; b != nil {
		own.Build = &resource.Build{Commands: b.Commands, Files: b.Files}
	}
	if s := img.Seal; s != nil {
		own.Seal = &resource.Seal{Keep: s.Keep, Commands: s.Commands}
	}
	return &own
}
