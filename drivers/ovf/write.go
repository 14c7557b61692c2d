package ovf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
)

// Descriptor writes the appliance down, in version 1, which all tools read. Its disks' files are streamOptimized VMDK.
func (a *Appliance) Descriptor() ([]byte, error) {
	var b bytes.Buffer
	if err := descriptor.Execute(&b, a); err != nil {
		return nil, fmt.Errorf("OVF descriptor: %w", err)
	}
	return b.Bytes(), nil
}

// controllers are those that the disks hang on, by bus: one for each bus that is in use.
func (a *Appliance) controllers() []controller {
	var out []controller
	for _, d := range a.Disks {
		found := false
		for i := range out {
			if out[i].Bus == d.Bus {
				found, out[i].Disks = true, append(out[i].Disks, d)
			}
		}
		if !found {
			out = append(out, controller{Bus: d.Bus, Instance: firstController + len(out), Disks: []Disk{d}})
		}
	}
	return out
}

type controller struct {
	Bus      string
	Instance int
	Disks    []Disk
}

// SubType is what VirtualBox and VMware call the controller.
func (c controller) SubType() string {
	if c.Bus == "virtio" {
		return "VirtioSCSI"
	}
	return "AHCI"
}

// The instance numbers of the items: 1 is the processors, 2 the memory.
const (
	firstController = 3
	firstDisk       = 100
	firstNIC        = 1000
)

var descriptor = template.Must(template.New("ovf").Funcs(template.FuncMap{
	"x":           escape,
	"controllers": (*Appliance).controllers,
	"mib":         func(a *Appliance) int64 { return (int64(a.Memory) + 1<<20 - 1) >> 20 },
	"disk":        func(a *Appliance, id string) int { return firstDisk + indexOf(a.Disks, id) },
	"nic":         func(i int) int { return firstNIC + i },
	"networks":    (*Appliance).networks,
}).Parse(`<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
{{- range .Disks}}{{if .File}}
    <File ovf:id="file-{{x .ID}}" ovf:href="{{x .File}}" ovf:size="{{.FileSize}}"/>
{{- end}}{{end}}
  </References>
  <DiskSection>
    <Info>The disks</Info>
{{- range .Disks}}
    <Disk ovf:diskId="{{x .ID}}"{{if .File}} ovf:fileRef="file-{{x .ID}}"{{end}} ovf:capacity="{{printf "%d" .Capacity}}" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
{{- end}}
  </DiskSection>
  <NetworkSection>
    <Info>The networks</Info>
{{- range networks .}}
    <Network ovf:name="{{x .}}"><Description>{{x .}}</Description></Network>
{{- end}}
  </NetworkSection>
  <VirtualSystem ovf:id="{{x .Name}}">
    <Info>A virtual machine</Info>
    <Name>{{x .Name}}</Name>
{{- if .Description}}
    <AnnotationSection><Info>About it</Info><Annotation>{{x .Description}}</Annotation></AnnotationSection>
{{- end}}
    <OperatingSystemSection ovf:id="101"><Info>The system in it</Info><Description>{{if .OS}}{{x .OS}}{{else}}Linux (64-bit){{end}}</Description></OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{{if .UUID}}{{x .UUID}}{{else}}{{x .Name}}{{end}}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:ElementName>{{.VCPUs}} virtual CPU(s)</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{{.VCPUs}}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ElementName>{{mib .}} MiB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{{mib .}}</rasd:VirtualQuantity>
      </Item>
{{- range controllers .}}
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:ElementName>{{.SubType}} controller</rasd:ElementName>
        <rasd:InstanceID>{{.Instance}}</rasd:InstanceID>
        <rasd:ResourceSubType>{{.SubType}}</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
{{- $parent := .Instance}}{{range $i, $d := .Disks}}
      <Item>
        <rasd:AddressOnParent>{{$i}}</rasd:AddressOnParent>
        <rasd:ElementName>{{x $d.ID}}</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/{{x $d.ID}}</rasd:HostResource>
        <rasd:InstanceID>{{disk $ $d.ID}}</rasd:InstanceID>
        <rasd:Parent>{{$parent}}</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
{{- end}}{{end}}
{{- range $i, $n := .NICs}}
      <Item>
{{- if $n.MAC}}
        <rasd:Address>{{x $n.MAC}}</rasd:Address>
{{- end}}
        <rasd:AddressOnParent>{{$i}}</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>{{x $n.Network}}</rasd:Connection>
        <rasd:ElementName>Network card on {{x $n.Network}}</rasd:ElementName>
        <rasd:InstanceID>{{nic $i}}</rasd:InstanceID>
        <rasd:ResourceSubType>{{if $n.Model}}{{x $n.Model}}{{else}}virtio{{end}}</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
{{- end}}
{{- if .Firmware}}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{{if eq .Firmware "uefi"}}efi{{else}}bios{{end}}"/>
{{- end}}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`))

func escape(text string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

func indexOf(disks []Disk, id string) int {
	for i, d := range disks {
		if d.ID == id {
			return i
		}
	}
	return len(disks)
}

// networks are those that the cards are on, each once.
func (a *Appliance) networks() (names []string) {
	seen := map[string]bool{}
	for _, n := range a.NICs {
		if !seen[n.Network] {
			seen[n.Network] = true
			names = append(names, n.Network)
		}
	}
	return names
}
