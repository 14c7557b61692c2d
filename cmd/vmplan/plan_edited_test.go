package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Whatever is changed in what a saved plan does, or shows of it, the plan is refused and the host stays as it is: also when the
// sum of the file is right.
func TestEditedPlanIsRefused(t *testing.T) {
	t.Parallel()
	const before = `
-- main.hcl --
host "lab" { uri = "sim:lab.json" }
network "lan" { cidr = "10.7.0.0/24" }
volume "data" { size = "1GiB" }
vm "db" {
  disk "root" { size = "1GiB" }
  nic "lan" { network = network.lan }
}
vm "old" {
  disk "root" { size = "1GiB" }
}
`
	const after = `
-- main.hcl --
host "lab" { uri = "sim:lab.json" }
network "lan" {
  cidr = "10.7.0.0/24"
  mode = "isolated"
}
volume "data" { size = "2GiB" }
vm "db" {
  title = "shop"
  machine = "pc"
  disk "root" { size = "1GiB" }
  nic "lan" { network = network.lan }
}
vm "new" {
  disk "root" { size = "1GiB" }
}
`
	w := newWorkdir(t, before)
	w.must(0, "apply", "--auto-approve")
	w.write(after)
	w.must(0, "plan", "--out", "good.vmplan", "--max-impact", "destroy")
	w.must(0, "show", "good.vmplan")
	var file map[string]any
	decodeFile(t, filepath.Join(w.dir, "good.vmplan"), &file)
	host := hostText(t, w.dir)
	r := rand.New(rand.NewPCG(seedOf(t), 21))
	for range 150 {
		plan := deepCopy(t, file["plan"]).(map[string]any)
		part := []string{"steps", "steps", "changes", "options"}[r.IntN(4)]
		var what string
		plan[part], what = edited(r, part, plan[part])
		writePlan(t, filepath.Join(w.dir, "edited.vmplan"), file, plan)
		code, output := w.run("apply", "edited.vmplan")
		if code == 0 {
			t.Fatalf("with %s it is carried out:\n%s", what, output)
		}
		if now := hostText(t, w.dir); now != host {
			t.Fatalf("with %s the host was changed:\n%s", what, output)
		}
	}
	writePlan(t, filepath.Join(w.dir, "same.vmplan"), file, file["plan"])
	w.must(0, "apply", "same.vmplan") // the test's own way of writing plans is not what is refused
}

// edited changes one value anywhere in v, and says which.
func edited(r *rand.Rand, path string, v any) (any, string) {
	switch v := v.(type) {
	case map[string]any:
		var keys []string
		for key := range v {
			if key != "range" { // where it is written, in another folder perhaps
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			break
		}
		key := keys[r.IntN(len(keys))]
		out, what := edited(r, path+"."+key, v[key])
		v[key] = out
		return v, what
	case []any:
		i := 0
		if len(v) > 0 {
			i = r.IntN(len(v))
		}
		switch n := r.IntN(10); {
		case len(v) == 0:
		case n == 0:
			return slices.Delete(v, i, i+1), fmt.Sprintf("%s.%d left out", path, i)
		case n == 1:
			return append(v, v[i]), fmt.Sprintf("%s.%d once more", path, i)
		default:
			out, what := edited(r, fmt.Sprintf("%s.%d", path, i), v[i])
			v[i] = out
			return v, what
		}
	case string:
		return v + "x", path + " another text"
	case float64:
		return v + 1, path + " another number"
	case bool:
		return !v, path + " the other way"
	}
	return "x", path + " a text"
}

func deepCopy(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// writePlan writes a plan file with the sum that it must have.
func writePlan(t *testing.T, path string, file map[string]any, plan any) {
	t.Helper()
	body, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	out, err := json.Marshal(map[string]any{"format": file["format"], "version": file["version"], "sha256": hex.EncodeToString(sum[:]), "plan": json.RawMessage(body)})
	if err == nil {
		err = os.WriteFile(path, out, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func decodeFile(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hostText is all that the simulated host has.
func hostText(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	for _, name := range []string{"lab.json", ".lab.json.log"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}
