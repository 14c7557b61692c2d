package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
)

// Texts of the language that are compared with.
const (
	autoAddress = "auto"
	modeBridge  = "bridge"
	uefi        = "uefi"
	rootDisk    = "root"
)

// complete gives an object the defaults that follow from it and from what it refers to, so that references to it see them,
// and checks it alone.
func (e *evaluator) complete(o *object) {
	switch r := o.res.(type) {
	case *resource.Host:
		r.Name = r.Label()
	case *resource.Pool:
		e.completePool(o, r)
	case *resource.Network:
		e.completeNetwork(o, r)
	case *resource.Image:
		e.completeImage(o, r)
	case *resource.Volume:
		e.completeVolume(o, r)
	case *resource.VM:
		e.completeVM(o, r)
	}
}

// orElse sets a text, number or span that is not set.
func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func orTrue(field **bool) {
	if *field == nil {
		yes := true
		*field = &yes
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

func (e *evaluator) completePool(o *object, p *resource.Pool) {
	if !p.IsManaged() {
		return
	}
	orElse(&p.Type, "dir")
	orTrue(&p.Autostart)
	switch {
	case o.bad["path"]:
	case p.Path == "":
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s needs path, the folder on its host. For a pool that exists already write managed = false.", o.addr))
		o.fail("path")
	case !strings.HasPrefix(p.Path, "/"):
		e.rep.addFirst(mistake(o.at("path"), "Bad path", "%q is not a folder of the host: begin it with /.", p.Path))
		o.fail("path")
	default:
		p.Path = filepath.ToSlash(filepath.Clean(p.Path))
		if systemFolder(p.Path) || slices.Contains(e.defaultsOf(o).OwnFolders, p.Path) {
			e.rep.addFirst(mistake(o.at("path"), "Bad path", "%s belongs to the host's system: every file in a pool's folder counts as a volume. Choose a folder of the pool's own, such as /srv/%s.", p.Path, o.addr.Name))
			o.fail("path")
		}
	}
}

// systemFolders are none of a pool's, though what is below them may be; in the last three nothing is.
var systemFolders = strings.Fields("/ /bin /boot /etc /home /lib /lib32 /lib64 /root /run /sbin /tmp /usr /var /var/lib /var/tmp /dev /proc /sys")

func systemFolder(path string) bool {
	inKernels := slices.ContainsFunc([]string{"/dev/", "/proc/", "/sys/"}, func(p string) bool { return strings.HasPrefix(path, p) })
	return inKernels || slices.Contains(systemFolders, path)
}

func (e *evaluator) completeImage(o *object, img *resource.Image) {
	e.completeOrigin(o, img)
	e.completeOS(o, img)
	if img.Source == "" || o.bad["source"] {
		return
	}
	scheme, _, isURL := strings.Cut(img.Source, "://")
	schemes := e.project.opts.Schemes
	_, err := url.Parse(img.Source)
	switch {
	case isURL && err != nil && strings.ContainsAny(img.Source, "@?"):
		e.rep.addFirst(mistake(o.at("source"), "Bad URL", "%s is no URL. In a password write %%23 for #, %%25 for %%, %%2F for / and %%40 for @.", resource.Redact(img.Source)))
		o.fail("source")
	case resource.HasLogin(img.Source) && strings.HasPrefix(scheme, "oci"):
		e.rep.addFirst(mistake(o.at("source"), "Password in a URL", "Plans would show it and the state would record it. Log in with docker login or podman login: their logins are used."))
		o.fail("source")
	case isURL && schemes != nil && !slices.Contains(schemes, scheme):
		e.rep.addFirst(mistake(o.at("source"), "Unknown image source", "%q begins with %s://. Images come from paths, from names such as debian:12, and from %s.", resource.Redact(img.Source), scheme, strings.Join(schemes, "://, ")+"://"))
		o.fail("source")
	case catalogue.IsName(img.Source):
		e.inCatalogue(o, img)
	case !isURL && !filepath.IsAbs(img.Source):
		img.Source = e.fromRoot(o.scope, img.Source)
	}
	if sum := img.Checksum; sum != "" && !o.bad["checksum"] && !goodChecksum(sum) {
		e.rep.addFirst(mistake(o.at("checksum"), "Bad checksum", "%q is neither sha256:HEX nor sha512:HEX nor the URL of a file of sums.", resource.Redact(sum)))
		o.fail("checksum")
	}
	img.Anonymous = o.scope.mod.closed() && isURL && !o.scope.mod.inline.trusts(img.Source)
	resource.SealLocations(img, e.prior.Salt)
	if isSum(img.Checksum) && !img.FullSource.IsZero() {
		// The sum says which file it is, whatever its URL is signed with today.
		img.FullSource = img.FullSource.As(resource.NewSecret(img.Source, e.prior.Salt))
	}
}

// inCatalogue reports a name that stands for nothing.
func (e *evaluator) inCatalogue(o *object, img *resource.Image) {
	_, err := e.project.catalogue.Find(img.Source)
	if err == nil {
		return
	}
	detail := sentence(err.Error()) + "."
	if unknown := (*catalogue.UnknownError)(nil); errors.As(err, &unknown) {
		detail += didYouMean(unknown.Name, e.project.catalogue.Names()) +
			fmt.Sprintf(" vmplan image list --catalogue shows what there is, and files *%s of the project add to it. A file is written with its folder: ./%s.", catalogueSuffix, img.Source)
	}
	e.rep.addFirst(mistake(o.at("source"), "Unknown image name", "%s", detail))
	o.fail("source")
}

// fromRoot makes a path that is relative to the folder of a module relative to the project's.
func (e *evaluator) fromRoot(sc *scope, path string) string {
	if sc.parent == nil {
		return path
	}
	rel, err := filepath.Rel(e.project.root.dir, filepath.Join(sc.mod.dir, path))
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

func goodChecksum(sum string) bool {
	_, err := url.Parse(sum)
	return strings.Contains(sum, "://") && err == nil || isSum(sum)
}

func (e *evaluator) completeVolume(o *object, v *resource.Volume) {
	if !v.IsManaged() {
		return
	}
	orElse(&v.Format, e.defaultsOf(o).DiskFormat)
	orElse(&v.OnDelete, "delete")
	e.checkRoom(o, "size", v.Image, &v.Size)
	e.checkClone(o, "", disk{v.Clone, v.CloneMode, v.Image, v.Format})
	if v.Size == 0 && v.Image.IsZero() && v.Clone.IsZero() && !o.bad["size"] && !o.bad["image"] && !o.bad["clone"] {
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s needs size. Only a volume that starts as an overlay of an image or as a clone, or one with managed = false, can do without.", o.addr))
		o.fail("size")
	}
	if v.Format == "raw" && !v.Image.IsZero() {
		e.rep.addFirst(mistake(o.at("format"), "Raw overlay", "%s is an overlay of %s, and the raw format cannot hold one. Leave format out, or image.", o.addr, v.Image))
	}
}

func (e *evaluator) completeVM(o *object, vm *resource.VM) {
	if !vm.IsManaged() {
		return
	}
	pref := e.hardware(o.scope, vm)
	e.checkMinimum(o, vm)
	if vm.Running == nil && !o.nulls["running"] && !o.bad["running"] {
		orTrue(&vm.Running)
	}
	orElse(&vm.ShutdownTimeout, resource.Duration(time.Minute))
	orElse(&vm.OnDelete, "cascade")
	if r := vm.Ready; r != nil {
		orElse(&r.Timeout, resource.Duration(5*time.Minute))
		if r.SSH != nil {
			orElse(&r.SSH.Port, 22)
		}
	}
	if t := vm.TPM; t != nil {
		orElse(&t.Version, "2.0")
	}
	if g := vm.Graphics; g != nil {
		orElse(&g.Type, "vnc")
		orElse(&g.Listen, "127.0.0.1")
	}
	if !vm.Image.IsZero() {
		o.rootFirst(vm)
	}
	for i := range vm.Disks {
		e.completeDisk(o, vm, i, pref)
	}
	for i := range vm.NICs {
		e.completeNIC(o, &vm.NICs[i], pref)
	}
	e.checkVM(o, vm)
}

// rootFirst puts the disk for the image before the others: where there are none and, in a vm that is made from an appliance,
// also before volumes.
func (o *object) rootFirst(vm *resource.VM) {
	i := slices.IndexFunc(vm.Disks, func(d resource.Disk) bool { return d.Label == rootDisk })
	switch {
	case len(vm.Disks) > 0 && (o.block.origins == nil || vm.Disks[0].Volume.IsZero()):
	case i < 0:
		vm.Disks = append([]resource.Disk{{Label: rootDisk}}, vm.Disks...)
	default:
		root := vm.Disks[i]
		vm.Disks = append([]resource.Disk{root}, slices.Delete(vm.Disks, i, i+1)...)
	}
}

func (e *evaluator) completeDisk(o *object, vm *resource.VM, i int, pref Preference) {
	d := &vm.Disks[i]
	path := "disk." + d.Label
	orElse(&d.Bus, pref.DiskBus)
	orElse(&d.Device, "disk")
	if d.Device == "cdrom" {
		orTrue(&d.ReadOnly)
		if d.Bus == "virtio" && o.block.ranges[path+".bus"].Empty() {
			d.Bus = "sata"
		}
	}
	if o.bad[path+".volume"] || o.bad[path+".image"] || o.bad[path+".clone"] || o.bad["image"] || o.bad[path+".size"] {
		return
	}
	owned := d.Size != 0 || d.Format != "" || d.OnDelete != "" || !d.Pool.IsZero() || !d.Image.IsZero() || !d.Clone.IsZero()
	switch {
	case !d.Volume.IsZero() && owned:
		e.rep.addFirst(mistake(o.at(path), "Disk owned and not", "disk %q uses %s, whose block says size, format, pool, image and on_delete. Take these out here, or take volume out for a disk that the vm owns.", d.Label, d.Volume))
	case !d.Volume.IsZero():
		if i == 0 && !vm.Image.IsZero() {
			e.rep.addFirst(mistake(o.at(path), "Image not used", "%s has an image, which would lie under its first disk %q, but that is %s. Set image on the volume instead of the vm, or put a disk of the vm's own first.", o.addr, d.Label, d.Volume))
		}
	default:
		if i == 0 && !vm.Image.IsZero() && !d.Image.IsZero() && d.Image != vm.Image {
			e.rep.addFirst(mistake(o.at(path+".image"), "Two images", "The first disk of %s is made from its image, %s, and disk %q names %s. Keep one of the two.", o.addr, vm.Image, d.Label, d.Image))
		}
		if i == 0 && d.Clone.IsZero() {
			orElse(&d.Image, vm.Image)
		}
		e.checkRoom(o, path+".size", d.Image, &d.Size)
		orElse(&d.Format, e.defaultsOf(o).DiskFormat)
		orElse(&d.OnDelete, "delete")
		e.checkClone(o, path+".", disk{d.Clone, d.CloneMode, d.Image, d.Format})
		switch {
		case !d.Clone.IsZero():
		case d.Size == 0 && d.Image.IsZero() && i == 0:
			e.rep.addFirst(mistake(o.at(path), "Disk without size", "The first disk %q of %s has neither size nor image, so there is nothing to make it from. Set image on the vm, or size for an empty disk, or volume.", d.Label, o.addr))
			o.fail(path)
		case d.Size == 0 && d.Image.IsZero():
			e.rep.addFirst(mistake(o.at(path), "Disk without size", "disk %q needs size, or image, or volume for one with a block of its own.", d.Label))
			o.fail(path)
		case d.Format == "raw" && !d.Image.IsZero():
			e.rep.addFirst(mistake(o.at(path+".format"), "Raw overlay", "disk %q is an overlay of %s, and the raw format cannot hold one. Leave format out.", d.Label, d.Image))
		}
	}
}

func (e *evaluator) completeNIC(o *object, n *resource.NIC, pref Preference) {
	orElse(&n.Model, pref.NICModel)
	path := "nic." + n.Label
	e.checkBridge(o, path+".bridge", n.Bridge)
	if b := n.Bandwidth; b != nil && b.Inbound == nil && b.Outbound == nil {
		e.rep.addFirst(mistake(o.at(path+".bandwidth"), "Bandwidth without a limit", "The bandwidth block of nic %q limits nothing. Write inbound { average = … }, outbound { average = … } or both in it, or take it out.", n.Label))
	}
	if o.bad[path+".network"] || o.bad[path+".bridge"] {
		return
	}
	e.completeForwards(o, path, n)
	switch {
	case isTrue(n.User) && (!n.Network.IsZero() || n.Bridge != ""):
		e.rep.addFirst(mistake(o.at(path+".user"), "User mode on a network", "nic %q has user = true, which is a network of its own, and is on another too. Keep one of the two.", n.Label))
	case isTrue(n.User) && n.Address != "":
		e.rep.addFirst(mistake(o.at(path+".address"), "Address in user mode", "nic %q has user = true: its host gives the guest its address there, and nobody reaches it by that. Take address out, and lead ports of the host to the guest by port_forward blocks.", n.Label))
		o.fail(path + ".address")
	case isTrue(n.User):
	case n.Network.IsZero() && n.Bridge == "":
		e.rep.addFirst(mistake(o.at(path), "Missing attribute", "nic %q needs network, or bridge for a bridge of the host, or user = true for a network of its own.", n.Label))
		o.fail(path + ".network")
	case !n.Network.IsZero() && n.Bridge != "":
		e.rep.addFirst(mistake(o.at(path+".bridge"), "Both network and bridge", "nic %q is on %s, so bridge has no meaning. Keep one of the two.", n.Label, n.Network))
	case n.Bridge != "" && n.Address != "":
		e.rep.addFirst(mistake(o.at(path+".address"), "Address without a network", "The range of bridge %s is not known, so an address cannot be given. Declare network \"NAME\" { mode = \"bridge\"  bridge = %q  cidr = … } and put the nic on it.", n.Bridge, n.Bridge))
		o.fail(path + ".address")
	}
}

// completeForwards fills in and checks the port forwards of a nic.
func (e *evaluator) completeForwards(o *object, path string, n *resource.NIC) {
	for i := range n.PortForwards {
		f := &n.PortForwards[i]
		at := path + ".port_forward." + f.Name
		orElse(&f.Protocol, "tcp")
		orElse(&f.Address, "127.0.0.1")
		a, err := netip.ParseAddr(f.Address)
		switch {
		case !isTrue(n.User) && !o.bad[path+".user"]:
			e.rep.addFirst(mistake(o.at(at), "Port forward without user mode", "No ports lead to guests on networks and bridges: reach nic %q by the guest's own address. port_forward needs a nic with user = true.", n.Label))
		case err != nil || !a.Is4():
			e.rep.addFirst(mistake(o.at(at+".address"), "Bad address", "%q is not an IPv4 address of the host. Write \"127.0.0.1\", which only the host itself reaches, or \"0.0.0.0\" for all.", f.Address))
		case f.HostPort > maxPort || f.GuestPort > maxPort:
			e.rep.addFirst(mistake(o.at(at), "Bad port", "port_forward %q has a port above %d.", f.Name, maxPort))
		}
	}
}

const maxPort = 65535

// checkVM checks what holds for a vm alone.
func (e *evaluator) checkVM(o *object, vm *resource.VM) {
	if ci := vm.CloudInit; ci != nil && ci.Hostname != "" && !goodHostname(ci.Hostname) {
		e.rep.addFirst(mistake(o.at("cloud_init.hostname"), "Bad host name", "%q is not a host name: letters, digits and - are allowed, with dots between its parts, such as \"web-1\".", ci.Hostname))
	}
	if len(vm.Disks) == 0 && vm.Image.IsZero() && !o.bad["image"] && !o.bad["clone"] {
		e.rep.addFirst(mistake(o.block.header, "Nothing to boot from", "%s has neither image nor disk. Set image, or write disk \"root\" { … }.", o.addr))
		o.fail("image")
	}
	if isTrue(vm.SecureBoot) && vm.Firmware != uefi && !o.bad["firmware"] {
		e.rep.addFirst(mistake(o.at("secure_boot"), "Secure boot without UEFI", "secure_boot needs firmware = \"uefi\"."))
	}
	if t := vm.TPM; t != nil && t.Version == "1.2" && t.Model == "tpm-crb" {
		e.rep.addFirst(mistake(o.at("tpm.model"), "TPM model too new", "A tpm-crb is of version 2.0. Take version = \"1.2\" out, or write model = \"tpm-tis\"."))
	}
	if vm.MaxVCPUs != 0 && vm.MaxVCPUs < vm.VCPUs && !o.bad["vcpus"] {
		e.rep.addFirst(mistake(o.at("max_vcpus"), "Limit below the value", "max_vcpus is %d, and vcpus is %d.", vm.MaxVCPUs, vm.VCPUs))
	}
	if vm.MaxMemory != 0 && vm.MaxMemory < vm.Memory && !o.bad["memory"] {
		e.rep.addFirst(mistake(o.at("max_memory"), "Limit below the value", "max_memory is %s, and memory is %s.", vm.MaxMemory, vm.Memory))
	}
	reachable := slices.ContainsFunc(vm.NICs, func(n resource.NIC) bool { return !isTrue(n.User) })
	if r := vm.Ready; r != nil && !reachable && (r.SSH != nil || r.Address != nil) {
		e.rep.addFirst(mistake(o.at("ready"), "Ready without a nic", "%s has no nic on a network or bridge, so nothing in it can ever answer over one. Wait for agent {} or cloud_init {}, or add a nic.", o.addr))
	}
}

func goodHostname(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		plain := strings.Trim(strings.ToLower(part), "abcdefghijklmnopqrstuvwxyz0123456789-")
		if part == "" || len(part) > 63 || plain != "" || strings.Trim(part, "-") != part {
			return false
		}
	}
	return len(name) <= 253
}
