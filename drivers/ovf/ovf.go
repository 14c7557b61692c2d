// Package ovf owns the Open Virtualization Format: it reads the descriptor of an appliance (versions 1 and 2, as VMware,
// VirtualBox and others write it), and writes one that they read, and the archive (OVA) around it.
//
// It must not look into disks, and trusts no descriptor: what names files outside of the appliance is refused.
package ovf

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Appliance is one virtual machine as a descriptor suggests it.
type Appliance struct {
	Name        string
	Description string
	UUID        string // when the descriptor gives its identity away
	OS          string // in words; may be empty
	VCPUs       int
	Memory      resource.Size
	Firmware    string // "bios" or "uefi"; empty when nothing is said
	Disks       []Disk // in the order in which the machine has them: the first is the one it boots from
	NICs        []NIC
}

// Disk is a disk of the appliance.
type Disk struct {
	ID       string        // in the descriptor
	File     string        // beside the descriptor; empty for a disk that is to be made empty
	Capacity resource.Size // of the disk, not of the file
	FileSize int64         // as the descriptor says; 0 when it does not
	Bus      string        // "virtio", or "sata" for any other that is known; empty when the machine has not attached it
}

// NIC is a network card of the appliance.
type NIC struct {
	Network string // name of the network as the appliance knows it
	MAC     string // when the descriptor gives its identity away
	Model   string // "virtio", "e1000", …; empty when it is none that is known
}

// IsDescriptor tells whether a file that begins so is a descriptor.
func IsDescriptor(head []byte) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	return (bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<"))) &&
		bytes.Contains(head[:min(len(head), 4096)], []byte("Envelope"))
}

// Parse reads a descriptor.
func Parse(text []byte) (*Appliance, error) {
	var e envelope
	if err := xml.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("OVF descriptor: %w", err)
	}
	a, err := e.appliance()
	if err != nil {
		return nil, fmt.Errorf("OVF descriptor: %w", err)
	}
	return a, nil
}

// The descriptor as it is written; names count, whatever namespace they are in, for versions and vendors differ in that.
type envelope struct {
	XMLName xml.Name `xml:"Envelope"`
	Files   []struct {
		ID          string `xml:"id,attr"`
		Href        string `xml:"href,attr"`
		Size        int64  `xml:"size,attr"`
		ChunkSize   string `xml:"chunkSize,attr"`
		Compression string `xml:"compression,attr"`
	} `xml:"References>File"`
	Disks []struct {
		ID       string `xml:"diskId,attr"`
		FileRef  string `xml:"fileRef,attr"`
		Capacity string `xml:"capacity,attr"`
		Units    string `xml:"capacityAllocationUnits,attr"`
		Parent   string `xml:"parentRef,attr"`
	} `xml:"DiskSection>Disk"`
	Systems    []system `xml:"VirtualSystem"`
	Collection []system `xml:"VirtualSystemCollection>VirtualSystem"`
}

type system struct {
	ID         string `xml:"id,attr"`
	Name       string `xml:"Name"`
	Annotation string `xml:"AnnotationSection>Annotation"`
	OS         struct {
		Description string `xml:"Description"`
		Type        string `xml:"osType,attr"`
	} `xml:"OperatingSystemSection"`
	Hardware struct {
		Identifier string `xml:"System>VirtualSystemIdentifier"`
		Items      []item `xml:"Item"`
		Storage    []item `xml:"StorageItem"`
		Ethernet   []item `xml:"EthernetPortItem"`
		Config     []struct {
			Key   string `xml:"key,attr"`
			Value string `xml:"value,attr"`
		} `xml:"Config"`
	} `xml:"VirtualHardwareSection"`
}

type item struct {
	Type       int    `xml:"ResourceType"`
	Instance   string `xml:"InstanceID"`
	Parent     string `xml:"Parent"`
	Position   int    `xml:"AddressOnParent"`
	Address    string `xml:"Address"`
	SubType    string `xml:"ResourceSubType"`
	Quantity   string `xml:"VirtualQuantity"`
	Units      string `xml:"AllocationUnits"`
	Connection string `xml:"Connection"`
	Host       string `xml:"HostResource"`
}

// The resource types of the CIM schema that matter here.
const (
	typeCPU      = 3
	typeMemory   = 4
	typeEthernet = 10
	typeDisk     = 17
)

// most is how many files, disks or parts a machine may have; real ones have a few dozen.
const most = 1000

func (e *envelope) appliance() (*Appliance, error) {
	systems := slices.Concat(e.Systems, e.Collection)
	if len(systems) != 1 {
		return nil, fmt.Errorf("it describes %d machines, and only one with one is supported", len(systems))
	}
	s := systems[0]
	a := &Appliance{
		Name: s.Name, Description: strings.TrimSpace(s.Annotation), OS: s.OS.Description, UUID: uuidOf(s.Hardware.Identifier),
	}
	if a.Name == "" {
		a.Name = s.ID
	}
	for _, c := range s.Hardware.Config {
		if c.Key == "firmware" && c.Value == "efi" {
			a.Firmware = "uefi"
		} else if c.Key == "firmware" {
			a.Firmware = "bios"
		}
	}
	items := slices.Concat(s.Hardware.Items, s.Hardware.Storage, s.Hardware.Ethernet)
	if len(items) > most || len(e.Disks) > most || len(e.Files) > most {
		return nil, fmt.Errorf("it has more than %d files, disks or parts", most)
	}
	for _, it := range items {
		if err := a.add(it); err != nil {
			return nil, err
		}
	}
	ids, buses := attached(items)
	if err := e.disks(a, ids); err != nil {
		return nil, err
	}
	for i := range a.Disks {
		a.Disks[i].Bus = buses[a.Disks[i].ID]
	}
	return a, nil
}

// attached gives the disks that the machine has, by id, in order (by controller as written, and by position on it), and the
// bus of each.
func attached(items []item) (ids []string, buses map[string]string) {
	at, bus, buses := map[string]int{}, map[string]string{}, map[string]string{}
	var disks []item
	for i, it := range items {
		at[it.Instance] = i
		bus[it.Instance] = busOf(it.SubType)
		if it.Type == typeDisk {
			disks = append(disks, it)
		}
	}
	slices.SortStableFunc(disks, func(a, b item) int {
		return cmp.Or(at[a.Parent]-at[b.Parent], a.Position-b.Position)
	})
	for _, d := range disks {
		id := path.Base(d.Host)
		ids, buses[id] = append(ids, id), bus[d.Parent]
	}
	return ids, buses
}

// add takes over what the item says of processors, memory and network cards.
func (a *Appliance) add(it item) error {
	switch it.Type {
	case typeCPU:
		n, err := strconv.Atoi(strings.TrimSpace(it.Quantity))
		if err != nil || n < 1 || n > 4096 {
			return fmt.Errorf("it asks for %q processors", it.Quantity)
		}
		a.VCPUs = n
	case typeMemory:
		size, err := quantity(it.Quantity, it.Units, 1<<20)
		if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
		a.Memory = size
	case typeEthernet:
		a.NICs = append(a.NICs, NIC{Network: it.Connection, MAC: macOf(it.Address), Model: modelOf(it.SubType)})
	}
	return nil
}

// disks lists the disks: first those that the machine has, in its order, then what else the descriptor has.
func (e *envelope) disks(a *Appliance, attached []string) error {
	for _, d := range e.Disks {
		if d.Parent != "" {
			return fmt.Errorf("disk %q has a parent disk, which is not supported", d.ID)
		}
		size, err := quantity(d.Capacity, d.Units, 1)
		if err != nil {
			return fmt.Errorf("disk %q: %w", d.ID, err)
		}
		disk := Disk{ID: d.ID, Capacity: size}
		for _, f := range e.Files {
			if d.FileRef == "" || f.ID != d.FileRef {
				continue
			}
			if f.ChunkSize != "" {
				return fmt.Errorf("the file %q is cut into chunks, which is not supported", f.Href)
			}
			if err := checkHref(f.Href); err != nil {
				return err
			}
			disk.File, disk.FileSize = path.Clean(f.Href), f.Size
		}
		if d.FileRef != "" && disk.File == "" {
			return fmt.Errorf("disk %q is in the file %q, which is not listed", d.ID, d.FileRef)
		}
		a.Disks = append(a.Disks, disk)
	}
	place := func(d Disk) int {
		if i := slices.Index(attached, d.ID); i >= 0 {
			return i
		}
		return len(attached)
	}
	slices.SortStableFunc(a.Disks, func(x, y Disk) int { return place(x) - place(y) })
	return nil
}

// checkHref refuses files that are not the appliance's own.
func checkHref(href string) error {
	if strings.ContainsAny(href, ":\\\x00") || slices.Contains(strings.Split(href, "/"), "..") || !fs.ValidPath(path.Clean(href)) || href == "." {
		return fmt.Errorf("the file %q is refused: only files beside the descriptor may be named", href)
	}
	return nil
}

var errQuantity = errors.New("its size is none")

// quantity reads a number of units such as "byte * 2^20" or "MegaBytes"; without any they are of the given size.
func quantity(number, units string, unit int64) (resource.Size, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %q", errQuantity, number)
	}
	switch text := strings.ToLower(strings.ReplaceAll(units, " ", "")); {
	case text == "":
	case text == "byte" || text == "bytes":
		unit = 1
	case strings.HasPrefix(text, "byte*2^"):
		bits, err := strconv.Atoi(text[len("byte*2^"):])
		if err != nil || bits < 0 || bits > 50 {
			return 0, fmt.Errorf("%w: it is in units of %q", errQuantity, units)
		}
		unit = 1 << bits
	default:
		named := map[string]int64{"kilobytes": 1 << 10, "megabytes": 1 << 20, "gigabytes": 1 << 30, "terabytes": 1 << 40}
		if unit = named[text]; unit == 0 {
			return 0, fmt.Errorf("%w: it is in units of %q", errQuantity, units)
		}
	}
	const largest = 1 << 50
	if n > largest/unit {
		return 0, fmt.Errorf("%w: %s × %q", errQuantity, number, units)
	}
	return resource.Size(n * unit), nil
}
