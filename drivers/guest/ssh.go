package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/atomicfile"
)

// SSH says how to reach a guest with the system's ssh client.
//
// Host keys are kept in a known_hosts file of the project, under an alias made from the vm's UUID. So a guest is known by
// what it is, not by an address that another guest had last week, and the user's own known_hosts stays as it is. The first
// key seen is accepted; another one later is refused, until ForgetHostKeys is called for a vm that was replaced.
type SSH struct {
	UUID       string   // of the vm
	Host       string   // address of the guest
	Port       int      // 0 means 22
	User       string   // empty: what the user's ssh configuration says
	Identity   string   // path of a private key; empty: what ssh and its agent offer
	KnownHosts string   // path of the project's file, see KnownHostsFile
	Command    []string // to run instead of a shell; joined by blanks and read by the guest's shell, as ssh does
}

// KnownHostsFile is where a project keeps the host keys of its guests; dir is the project's folder.
func KnownHostsFile(dir string) string { return filepath.Join(dir, ".vmplan", "known_hosts") }

// SSHCommand gives the command line, beginning with "ssh".
func SSHCommand(s SSH) ([]string, error) {
	// ssh takes what begins with a hyphen as an option, wherever it stands before the command.
	if s.Host == "" || strings.HasPrefix(s.Host, "-") || strings.HasPrefix(s.User, "-") {
		return nil, fmt.Errorf("ssh: %q as user %q is nothing to connect to", s.Host, s.User)
	}
	argv := []string{
		"ssh",
		"-o", "HostKeyAlias=" + hostKeyAlias(s.UUID),
		"-o", "UserKnownHostsFile=" + quoteOption(s.KnownHosts),
		"-o", "GlobalKnownHostsFile=none",
		"-o", "StrictHostKeyChecking=accept-new",
		"-o", "HashKnownHosts=no", // ForgetHostKeys looks for the alias
		"-o", "CheckHostIP=no",
	}
	if s.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(s.Port))
	}
	if s.User != "" {
		argv = append(argv, "-l", s.User)
	}
	if s.Identity != "" {
		argv = append(argv, "-i", s.Identity)
	}
	argv = append(argv, s.Host)
	if len(s.Command) > 0 {
		argv = append(append(argv, "--"), s.Command...)
	}
	return argv, nil
}

func hostKeyAlias(uuid string) string { return "vmplan-" + uuid }

// quoteOption protects a path from ssh, which splits the option at blanks and expands %, ~ and ${…}; as an absolute path has
// no leading ~, and ${ in a path cannot be escaped, the rest is enough.
func quoteOption(path string) string {
	return `"` + strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// ForgetHostKeys drops what is known of the host keys of vms. To be called when a vm, its disk or its seed is made or
// deleted: its UUID stays the same, its keys do not. A file that is not there is fine.
func ForgetHostKeys(knownHosts string, uuids ...string) error {
	gone := map[string]bool{}
	for _, uuid := range uuids {
		gone[hostKeyAlias(uuid)] = true
	}
	data, err := os.ReadFile(knownHosts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget host keys: %w", err)
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(data) {
		name, _, _ := bytes.Cut(line, []byte(" "))
		if !gone[string(name)] {
			kept.Write(line)
		}
	}
	if kept.Len() == len(data) {
		return nil
	}
	if err := atomicfile.Write(knownHosts, kept.Bytes(), 0o600); err != nil {
		return fmt.Errorf("forget host keys: %w", err)
	}
	return nil
}
