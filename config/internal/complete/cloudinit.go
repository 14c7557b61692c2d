package complete

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// The files of a seed that vmplan writes itself. Equal content must give equal bytes: a seed of other bytes is another one.

// cloudConfig is user data or vendor data.
type cloudConfig struct {
	Hostname    yamlText   `yaml:"hostname"`
	FQDN        yamlText   `yaml:"fqdn,omitempty"`
	DisableRoot *bool      `yaml:"disable_root,omitempty"`
	Keys        []yamlText `yaml:"ssh_authorized_keys,omitempty"`
}

// instanceData is meta-data.
type instanceData struct {
	InstanceID string     `yaml:"instance-id,omitempty"`
	Hostname   string     `yaml:"local-hostname,omitempty"`
	Keys       []yamlText `yaml:"public-keys,flow,omitempty"`
}

// networkData is network-config, version 2.
type networkData struct {
	Version   int       `yaml:"version"`
	Ethernets ethernets `yaml:"ethernets"`
}

// ethernets are written in the order of the vm's nics.
type ethernets []ethernet

type ethernet struct {
	label   string
	Match   ethernetMatch `yaml:"match"`
	SetName yamlText      `yaml:"set-name"`
	DHCP4   bool          `yaml:"dhcp4"`

	Addresses   []yamlText   `yaml:"addresses,omitempty"`
	Routes      []route      `yaml:"routes,omitempty"`
	Nameservers *nameservers `yaml:"nameservers,omitempty"`
}

type ethernetMatch struct {
	MAC yamlText `yaml:"macaddress"`
}

type route struct {
	To  yamlText `yaml:"to"`
	Via yamlText `yaml:"via"`
}

type nameservers struct {
	Addresses []yamlText `yaml:"addresses"`
}

// static sets an address that the guest gives itself. The first address of the range is taken to be the gateway and to answer
// DNS: it is the host's own where vmplan makes the network, and by custom elsewhere. An isolated network leads nowhere.
func (e *ethernet) static(address, mode string, prefix netip.Prefix) {
	first, _ := HostRange(prefix)
	gateway := yamlText(first.String())
	e.DHCP4 = false
	e.Addresses = yamlTexts(fmt.Sprintf("%s/%d", address, prefix.Bits()))
	if mode != "isolated" {
		e.Routes = []route{{To: "0.0.0.0/0", Via: gateway}}
	}
	e.Nameservers = &nameservers{Addresses: []yamlText{gateway}}
}

// MarshalYAML implements yaml.Marshaler.
func (list ethernets) MarshalYAML() (any, error) {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range list {
		var key, value yaml.Node
		if err := key.Encode(yamlText(e.label)); err != nil {
			return nil, err
		}
		if err := value.Encode(e); err != nil {
			return nil, err
		}
		out.Content = append(out.Content, &key, &value)
	}
	return out, nil
}

// yamlText is a text that no YAML reader takes for anything else.
type yamlText string

// MarshalYAML implements yaml.Marshaler.
func (t yamlText) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(t)}, nil
}

func yamlTexts(list ...string) []yamlText {
	out := make([]yamlText, len(list))
	for i, text := range list {
		out[i] = yamlText(text)
	}
	return out
}

// yamlWriter is an encoder and what it wrote. A new encoder takes more memory than all the seeds that one writes.
type yamlWriter struct {
	text bytes.Buffer
	enc  *yaml.Encoder
}

var yamlWriters = sync.Pool{New: func() any {
	w := &yamlWriter{}
	w.enc = yaml.NewEncoder(&w.text)
	w.enc.SetIndent(2)
	return w
}}

// writeYAML writes plain data, which cannot fail.
func writeYAML(v any) string {
	w := yamlWriters.Get().(*yamlWriter)
	defer yamlWriters.Put(w)
	w.text.Reset()
	if err := w.enc.Encode(v); err != nil {
		panic("complete: cloud-init data cannot be written as YAML: " + err.Error())
	}
	return strings.TrimPrefix(w.text.String(), "---\n") // before every document but the first
}

// yamlKeys are the keys of a YAML mapping; none of what is no mapping.
func yamlKeys(text string) map[string]bool {
	var data map[string]any
	if yaml.Unmarshal([]byte(text), &data) != nil {
		return nil
	}
	keys := make(map[string]bool, len(data))
	for key := range data {
		keys[key] = true
	}
	return keys
}
