package oci

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry"

	"vmplan.dev/vmplan/drivers/source"
)

// The schemes of locations.
const (
	Scheme      = "oci"      // over https; to this machine also over plain http
	SchemePlain = "oci+http" // over plain http, for a registry without certificates that the user vouches for
)

// reference is a location in its parts: oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST][?arch=ARCH][#TITLE].
type reference struct {
	registry.Reference        // Reference is a tag or a digest
	plain              bool   // SchemePlain
	arch               string // as image indexes name it; empty: this machine's
	push               bool   // for writing too
	title              string // of the layer to take, or the name of the disk; empty: what is found
}

// parse reads a location. Its errors hold nothing of it: it may have a password in it, and the caller names it.
func parse(location string) (reference, error) {
	u, err := url.Parse(location)
	if err != nil {
		return reference{}, errors.New("this is no URL")
	}
	if u.Scheme != Scheme && u.Scheme != SchemePlain {
		return reference{}, fmt.Errorf("it has to begin with %s:// or %s://", Scheme, SchemePlain)
	}
	if u.User != nil {
		return reference{}, errors.New("logins do not belong into locations, where they end up in files and plans: log in with docker login or podman login")
	}
	query := u.Query()
	arch := query.Get("arch")
	query.Del("arch")
	if len(query) > 0 {
		return reference{}, errors.New("after ? there may only be arch=ARCH")
	}
	path, digest, byDigest := strings.Cut(strings.TrimPrefix(u.Path, "/"), "@")
	name, tag, _ := strings.Cut(path, ":")
	ref := reference{
		Reference: registry.Reference{Registry: u.Host, Repository: name, Reference: tag},
		plain:     u.Scheme == SchemePlain, arch: ociArch(arch), title: u.Fragment,
	}
	switch {
	case byDigest:
		ref.Reference.Reference = digest // the tag beside it is for people
		if ref.ValidateReferenceAsDigest() != nil {
			return reference{}, fmt.Errorf("%q is no digest: sha256: and 64 hexadecimal digits", digest)
		}
	case tag == "":
		ref.Reference.Reference = "latest"
	}
	if err := ref.Validate(); err != nil {
		return reference{}, errors.New("write it as oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…, with a repository in small letters")
	}
	return ref, nil
}

// at is the location that names one manifest and never moves.
func (r reference) at(digest string) string {
	u := url.URL{Scheme: Scheme, Host: r.Registry, Path: "/" + r.Repository + "@" + digest, Fragment: r.title}
	if r.plain {
		u.Scheme = SchemePlain
	}
	if r.arch != "" {
		u.RawQuery = "arch=" + url.QueryEscape(r.arch)
	}
	return u.String()
}

// archNames are the names of architectures in image indexes, by those of the kernel and of QEMU.
var archNames = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "ppc64": "ppc64le", "armv7l": "arm"}

func ociArch(arch string) string {
	if name, ok := archNames[arch]; ok {
		return name
	}
	return arch
}

// isLoopback tells whether a registry's HOST[:PORT] is this machine by its name alone.
func isLoopback(hostport string) bool {
	addr, ok := source.NamedAddr(hostOf(hostport))
	return ok && addr.Unmap().IsLoopback()
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}
