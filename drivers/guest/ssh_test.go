package guest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"vmplan.dev/vmplan/drivers/guest"
)

// serveSSH is a guest's ssh server with a fresh host key: it lets anyone in and says what command it was asked to run. It
// gives its port.
func serveSSH(t *testing.T) int {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true, MaxAuthTries: 1}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerSSH(conn, config)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func answerSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			var command struct{ Text string }
			if r.Type == "exec" && ssh.Unmarshal(r.Payload, &command) == nil {
				r.Reply(true, nil)
				channel.Write([]byte(server.User() + " ran " + command.Text))
				channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{7}))
				channel.Close()
			} else {
				r.Reply(false, nil)
			}
		}
	}
}

func runSSH(t *testing.T, s guest.SSH) (output string, exit int) {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("the ssh client is not installed (make setup installs it)")
	}
	argv, err := guest.SSHCommand(s)
	if err != nil {
		t.Fatal(err)
	}
	argv = append([]string{argv[0], "-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"}, argv[1:]...)
	cmd := exec.Command(argv[0], argv[1:]...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func TestSSHRunsTheCommandAsTheUserAndGivesItsExitCode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a 100% "odd" folder`)
	if err := os.MkdirAll(filepath.Join(dir, ".vmplan"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := guest.SSH{
		UUID: "3c1f", Host: "127.0.0.1", Port: serveSSH(t), User: "debian", KnownHosts: guest.KnownHostsFile(dir),
		Command: []string{"ls", "-l", "/"},
	}
	if out, exit := runSSH(t, s); out != "debian ran ls -l /" || exit != 7 {
		t.Errorf("output %q, exit code %d; want the command's", out, exit)
	}
	known, err := os.ReadFile(s.KnownHosts)
	if err != nil || !strings.HasPrefix(string(known), "vmplan-3c1f ") {
		t.Errorf("known_hosts holds %q (%v), want the key under the vm's alias", known, err)
	}
}

func TestAGuestMadeAnewIsTrustedOnlyAfterItsKeyIsForgotten(t *testing.T) {
	s := guest.SSH{
		UUID: "aa", Host: "127.0.0.1", Port: serveSSH(t), User: "root", KnownHosts: filepath.Join(t.TempDir(), "known_hosts"),
		Command: []string{"true"},
	}
	other := s
	other.UUID, other.Port = "bb", serveSSH(t)
	for _, target := range []guest.SSH{s, other} { // the same address, but two guests: no clash
		if out, exit := runSSH(t, target); exit != 7 {
			t.Fatalf("first contact: exit code %d: %s", exit, out)
		}
	}
	s.Port = serveSSH(t) // another host key
	if out, exit := runSSH(t, s); exit != 255 || !strings.Contains(out, "verification failed") {
		t.Fatalf("a changed key was taken: exit code %d: %s", exit, out)
	}
	if err := guest.ForgetHostKeys(s.KnownHosts, s.UUID); err != nil {
		t.Fatal(err)
	}
	if out, exit := runSSH(t, s); exit != 7 {
		t.Fatalf("after the key was forgotten: exit code %d: %s", exit, out)
	}
	other.Port = s.Port
	if _, exit := runSSH(t, other); exit != 255 {
		t.Error("forgetting one guest's key has forgotten another's")
	}
}

func TestForgettingWithoutAFileIsFine(t *testing.T) {
	if err := guest.ForgetHostKeys(filepath.Join(t.TempDir(), "none"), "aa"); err != nil {
		t.Error(err)
	}
}

func TestAnAddressCannotPassAsAnOption(t *testing.T) {
	for _, s := range []guest.SSH{{Host: "-oProxyCommand=evil"}, {Host: ""}, {Host: "h", User: "-x"}} {
		if argv, err := guest.SSHCommand(s); err == nil {
			t.Errorf("%+v gave %q", s, argv)
		}
	}
	argv, err := guest.SSHCommand(guest.SSH{UUID: "u", Host: "h", Command: []string{"-oProxyCommand=evil"}})
	if err != nil || slices.Index(argv, "--") != len(argv)-2 {
		t.Errorf("command %q (%v): what follows the host must stand behind --", argv, err)
	}
}

func TestSSHTakesPortAndIdentity(t *testing.T) {
	argv, err := guest.SSHCommand(guest.SSH{UUID: "u", Host: "10.0.0.9", Port: 2222, Identity: "/k"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{"-p", strconv.Itoa(2222)}, {"-i", "/k"}} {
		if i := slices.Index(argv, pair[0]); i < 0 || argv[i+1] != pair[1] {
			t.Errorf("%q lacks %v", argv, pair)
		}
	}
}
