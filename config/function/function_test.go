package function_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/function"
)

// eval evaluates an expression as it stands in a project file of folder dir.
func eval(t *testing.T, dir, expr string) (cty.Value, error) {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(expr), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", expr, diags)
	}
	v, diags := e.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{
			"secret":  cty.StringVal("hunter2").Mark(function.Sensitive),
			"unknown": cty.UnknownVal(cty.String),
		},
		Functions: function.Table(dir),
	})
	if diags.HasErrors() {
		return v, diags
	}
	return v, nil
}

// The values that Terraform's documentation gives, and the edges where its functions differ from go-cty's.
func TestFunctionsGiveTerraformsValues(t *testing.T) {
	for call, want := range map[string]string{
		`abs(-12.4)`: `12.4`, `ceil(5.1)`: `6`, `floor(4.9)`: `4`, `max(12, 54, 3)`: `54`, `min([12, 54, 3]...)`: `3`,
		`parseint("FF", 16)`: `255`, `pow(3, 2)`: `9`, `signum(-13)`: `-1`, `log(16, 2)`: `4`,
		`sum([10, 13, 6, 4.5])`: `33.5`, `sum(["1", 2])`: `3`,

		`chomp("hello\r\n\n")`: `"hello"`, `endswith("hello world", "world")`: `true`, `startswith("hello", "world")`: `false`,
		`format("%s has %03d and %q", "a", 7, "x")`: `"a has 007 and \"x\""`, `formatlist("%s!", ["a", "b"])`: `["a!", "b!"]`,
		`indent(2, "a\nb")`: `"a\n  b"`, `join(", ", ["foo", "bar"])`: `"foo, bar"`, `lower("HÉ")`: `"hé"`, `upper("hé")`: `"HÉ"`,
		`regex("[a-z]+", "53453453.345345aaabbbccc23454")`: `"aaabbbccc"`, `regex("^(?:(?P<scheme>[^:/?#]+):)?", "https://x").scheme`: `"https"`,
		`regexall("[a-z]+", "1234abcd5678efgh9")`: `["abcd", "efgh"]`, `length(regexall("[a-z]+", "123"))`: `0`,
		`replace("1 + 2 + 3", "+", "-")`: `"1 - 2 - 3"`, `replace("hello world", "/w.*d/", "everybody")`: `"hello everybody"`,
		`replace("ab", "/(a)(b)/", "$2$1")`: `"ba"`, `replace("a/b", "/", "-")`: `"a-b"`,
		`split(",", "foo,bar")`: `["foo", "bar"]`, `strcontains("hello", "ell")`: `true`, `strrev("héllo")`: `"olléh"`,
		`substr("hello world", 1, 4)`: `"ello"`, `substr("hello", -2, -1)`: `"lo"`, `title("hello world")`: `"Hello World"`,
		`trim("?!hello?!", "!?")`: `"hello"`, `trimprefix("helloworld", "hello")`: `"world"`, `trimsuffix("helloworld", "world")`: `"hello"`,
		`trimspace("  hello\n\n")`: `"hello"`,

		`alltrue(["true", true])`: `true`, `alltrue([true, null])`: `false`, `alltrue([])`: `true`,
		`anytrue([false, "true"])`: `true`, `anytrue([])`: `false`,
		`chunklist(["a", "b", "c"], 2)`: `[["a", "b"], ["c"]]`, `coalesce("", null, "b")`: `"b"`, `coalesce(0, 1)`: `0`, `coalesce(["", "b"]...)`: `"b"`,
		`coalescelist([], ["c", "d"])`: `["c", "d"]`, `compact(["a", "", "b", null])`: `["a", "b"]`, `concat(["a"], ["b"])`: `["a", "b"]`,
		`contains(["a", "b"], "b")`: `true`, `distinct(["a", "b", "a"])`: `["a", "b"]`, `element(["a", "b", "c"], 4)`: `"b"`, `element(["a", "b"], -1)`: `"b"`,
		`flatten([["a", "b"], [], ["c"]])`: `["a", "b", "c"]`, `index(["a", "b", "c"], "b")`: `1`, `keys({a = 1, c = 2})`: `["a", "c"]`,
		`values({a = 1, c = 2})`: `[1, 2]`, `length([])`: `0`, `length({a = 1})`: `1`, `length("👾🕹️")`: `2`, `length(toset(["a", "a"]))`: `1`,
		`lookup({a = "ay"}, "a", "what?")`: `"ay"`, `lookup({a = "ay"}, "c", "what?")`: `"what?"`, `lookup(tomap({a = "ay"}), "a")`: `"ay"`,
		`lookup(tomap({a = "ay"}), "b", null)`:                                                   `null`,
		`matchkeys(["i-123", "i-abc", "i-def"], ["us-west", "us-east", "us-east"], ["us-east"])`: `["i-abc", "i-def"]`,
		`merge({a = 1, b = 2}, {b = 3})`:                                                         `{a = 1, b = 3}`, `one([])`: `null`, `one(["a"])`: `"a"`, `one(toset([]))`: `null`,
		`range(3)`: `[0, 1, 2]`, `range(1, 8, 3)`: `[1, 4, 7]`, `range(4, 1)`: `[4, 3, 2]`, `reverse([1, 2])`: `[2, 1]`,
		`sort(["e", "a"])`: `["a", "e"]`, `slice(["a", "b", "c"], 1, 2)`: `["b"]`, `tolist(setunion(["a"], ["b"]))`: `["a", "b"]`,
		`tolist(setintersection(["a", "b"], ["b"]))`: `["b"]`, `tolist(setsubtract(["a", "b"], ["b"]))`: `["a"]`,
		`setproduct(["a"], ["x", "y"])`: `[["a", "x"], ["a", "y"]]`, `transpose({a = ["1", "2"], b = ["2"]})`: `{"1" = ["a"], "2" = ["a", "b"]}`,
		`zipmap(["a", "b"], [1, 2])`: `{a = 1, b = 2}`,

		`base64encode("Hello World")`: `"SGVsbG8gV29ybGQ="`, `base64decode("SGVsbG8gV29ybGQ=")`: `"Hello World"`,
		`csvdecode("a,b\n1,2\n")`: `[{a = "1", b = "2"}]`, `jsonencode({hello = "world"})`: `"{\"hello\":\"world\"}"`, `jsondecode("[1, true]")`: `[1, true]`,
		`urlencode("foo:bar@localhost?foo=bar&bar=baz")`: `"foo%3Abar%40localhost%3Ffoo%3Dbar%26bar%3Dbaz"`,
		`yamldecode("{a: 1, b: [x]}")`:                   `{a = 1, b = ["x"]}`, `yamlencode({a = "b"})`: `"\"a\": \"b\"\n"`,
		`substr(base64gzip("x"), 0, 4)`: `"H4sI"`,

		`formatdate("DD MMM YYYY hh:mm ZZZ", "2018-01-02T23:12:01Z")`: `"02 Jan 2018 23:12 UTC"`, `timeadd("2017-11-22T00:00:00Z", "10m")`: `"2017-11-22T00:10:00Z"`,
		`timecmp("2017-11-22T01:00:00Z", "2017-11-22T00:00:00-01:00")`: `0`,

		`md5("hello world")`: `"5eb63bbbe01eeed093cb22bb8f5acdc3"`, `sha1("hello world")`: `"2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"`,
		`sha256("hello world")`:                                              `"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"`,
		`substr(sha512("x"), 0, 8)`:                                          `"a4abd444"`,
		`base64sha256("hello world")`:                                        `"uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="`,
		`uuidv5("dns", "www.terraform.io")`:                                  `"a5008fae-b28c-5ba5-96cd-82b4c53552d6"`,
		`uuidv5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.terraform.io")`: `"a5008fae-b28c-5ba5-96cd-82b4c53552d6"`,

		`cidrhost("10.12.112.0/20", 16)`: `"10.12.112.16"`, `cidrhost("10.12.112.0/20", 268)`: `"10.12.113.12"`, `cidrhost("fd00:fd12:3456:7890:00a2::/72", 34)`: `"fd00:fd12:3456:7890::22"`,
		`cidrhost("10.0.0.0/24", -1)`: `"10.0.0.255"`, `cidrnetmask("172.16.0.0/12")`: `"255.240.0.0"`, `cidrsubnet("172.16.0.0/12", 4, 2)`: `"172.18.0.0/16"`,
		`cidrsubnet("10.1.2.0/24", 4, 15)`: `"10.1.2.240/28"`, `cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162)`: `"fd00:fd12:3456:7800:a200::/72"`,
		`cidrsubnets("10.1.0.0/16", 4, 4, 8, 4)`: `["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24", "10.1.48.0/20"]`,
		`cidrsubnets("0.0.0.0/0", 1, 1)`:         `["0.0.0.0/1", "128.0.0.0/1"]`,

		`can(lookup({}, "a"))`: `false`, `try(lookup({}, "a"), "fallback")`: `"fallback"`, `tobool("true")`: `true`, `tonumber("1")`: `1`, `tostring(1)`: `"1"`,
		`tolist(["a", 1])`: `["a", "1"]`, `tomap({a = 1, b = "c"})`: `{a = "1", b = "c"}`, `tolist(toset(["c", "b", "b"]))`: `["b", "c"]`, `tostring(null)`: `null`,
		`issensitive(secret)`: `true`, `issensitive(upper(secret))`: `true`, `nonsensitive(secret)`: `"hunter2"`, `issensitive(nonsensitive(secret))`: `false`,
		`issensitive(sensitive("a"))`: `true`, `issensitive(jsonencode({a = secret}))`: `true`,

		`basename("foo/bar/baz.txt")`: `"baz.txt"`, `dirname("foo/bar/baz.txt")`: `"foo/bar"`,
		`length([unknown])`:                           `1`,
		`templatestring("hi $${name}", {name = "x"})`: `"hi x"`,
	} {
		got, err := eval(t, ".", call)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		expected, err := eval(t, ".", want)
		if err != nil {
			t.Fatal(err)
		}
		if show(t, got) != show(t, expected) {
			t.Errorf("%s = %s, want %s", call, show(t, got), show(t, expected))
		}
	}
}

// show writes a value as JSON, so that ["a"] is the same as list or as tuple.
func show(t *testing.T, v cty.Value) string {
	t.Helper()
	f := function.Table(".")["jsonencode"]
	out, err := f.Call([]cty.Value{v})
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	return out.AsString()
}

func TestMistakesSayWhatToDo(t *testing.T) {
	dir := project(t, map[string]string{
		"binary":   "\xff\xfe",
		"web.tmpl": "a\n${missing}\n",
		"loop":     `${templatefile("web.tmpl", {})}`,
		"broken":   "${",
		"big":      strings.Repeat("x", 16<<20+1),
	})
	for call, want := range map[string]string{
		`timestamp()`:                     "give the time as a variable",
		`uuid()`:                          "uuidv5",
		`bcrypt("x")`:                     "sensitive variable",
		`file("none.yaml")`:               filepath.Join(dir, "none.yaml"),
		`file("binary")`:                  "filebase64",
		`file("big")`:                     "16 MiB",
		`file(".")`:                       "not a regular file",
		`templatefile("web.tmpl", {a=1})`: `web.tmpl:2,3-10 uses "missing", which is not among the variables given: a`,
		`templatefile("loop", {})`:        "render the inner one first",
		`templatefile("broken", {})`:      "broken:1",
		`templatefile("web.tmpl", {"a b" = 1, missing = 1})`: "cannot be a variable",
		`templatefile("web.tmpl", "x")`:                      "must be a map or an object",
		`index(["a"], "b")`:                                  "not in the list",
		`lookup({}, "a")`:                                    `no key "a"`,
		`sum([])`:                                            "nothing to add",
		`coalesce("", null)`:                                 "no argument is set",
		`one(["a", "b"])`:                                    "one element",
		`one(toset(["a", "b"]))`:                             "has 2 elements",
		`length(5)`:                                          "not number",
		`cidrhost("10.0.0.0/24", 256)`:                       "has 256 addresses",
		`cidrhost("10.0.0.0", 1)`:                            "10.17.3.0/24",
		`cidrsubnet("10.0.0.0/24", 9, 0)`:                    "from 0 to 8",
		`cidrsubnet("10.0.0.0/24", 1, 2)`:                    "has 2 subnets of /25",
		`cidrsubnets("10.0.0.0/24", 1, 1, 1)`:                "no room is left",
		`cidrnetmask("::/64")`:                               "IPv6",
		`uuidv5("nope", "x")`:                                "neither a UUID nor",
		`base64decode("/w==")`:                               "UTF-8",
		`replace("a", "/(/", "")`:                            "bad regular expression",
		`range(5000)`:                                        "1024",
		`fileset(".", "{a")`:                                 "is not closed",
	} {
		_, err := eval(t, dir, call)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", call, err, want)
		}
	}
}

func TestFilesAreFoundFromTheModulesFolder(t *testing.T) {
	dir := project(t, map[string]string{
		"web.tmpl":     "%{ for p in ports ~}\nlisten ${p}\n%{ endfor ~}\n",
		"hello.txt":    "Hello World",
		"conf/a.yaml":  "a",
		"conf/b.json":  "b",
		"conf/d/c.yml": "c",
	})
	if err := os.Symlink("a.yaml", filepath.Join(dir, "conf/link.yaml")); err != nil {
		t.Fatal(err)
	}
	for call, want := range map[string]string{
		`file("hello.txt")`:                                            `"Hello World"`,
		`file("conf/../hello.txt")`:                                    `"Hello World"`,
		`filebase64("hello.txt")`:                                      `"SGVsbG8gV29ybGQ="`,
		`filemd5("hello.txt")`:                                         `"b10a8db164e0754105b7a99be72e3fe5"`,
		`filesha256("hello.txt") == sha256("Hello World")`:             `true`,
		`filebase64sha512("hello.txt") == base64sha512("Hello World")`: `true`,
		`fileexists("hello.txt")`:                                      `true`,
		`fileexists("nope")`:                                           `false`,
		`fileset(".", "conf/*.yaml")`:                                  `["conf/a.yaml", "conf/link.yaml"]`,
		`fileset("conf", "**")`:                                        `["a.yaml", "b.json", "d/c.yml", "link.yaml"]`,
		`fileset(".", "**/*.{yml,json}")`:                              `["conf/b.json", "conf/d/c.yml"]`,
		`fileset("conf", "[a-b].????")`:                                `["a.yaml", "b.json"]`,
		`fileset("conf", "[!a].????")`:                                 `["b.json"]`,
		`fileset("nowhere", "*")`:                                      `[]`,
		`templatefile("web.tmpl", {ports = [80, 443]})`:                `"listen 80\nlisten 443\n"`,
		`issensitive(templatefile("web.tmpl", {ports = [secret]}))`:    `true`,
		`abspath("conf") == dirname(abspath("conf/x"))`:                `true`,
		`pathexpand("a/b")`:                                            `"a/b"`,
	} {
		got, err := eval(t, dir, call)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		expected, _ := eval(t, dir, want)
		if show(t, got) != show(t, expected) {
			t.Errorf("%s = %s, want %s", call, show(t, got), show(t, expected))
		}
	}
	abs, err := eval(t, dir, `abspath("conf")`)
	if err != nil || abs.AsString() != filepath.Join(dir, "conf") {
		t.Errorf("abspath: %v, %v", abs, err)
	}
}

func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEveryFunctionIsDescribed(t *testing.T) {
	for _, g := range function.Groups(".") {
		for name, f := range g.Functions {
			if f.Description() == "" {
				t.Errorf("%s has no description", name)
			}
		}
	}
}

func TestAClosedFolderKeepsToItselfAlsoWhereLinksLead(t *testing.T) {
	dir := t.TempDir()
	inside, outside := filepath.Join(dir, "inside"), filepath.Join(dir, "secret")
	for _, err := range []error{
		os.Mkdir(inside, 0o755),
		os.WriteFile(outside, []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(inside, "own"), []byte("own"), 0o600),
		os.Symlink("../secret", filepath.Join(inside, "link")),
		os.Symlink("..", filepath.Join(inside, "up")),
		os.Symlink("own", filepath.Join(inside, "same")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	table := function.Closed(inside)
	for _, name := range []string{"file", "filebase64", "filesha256"} {
		for path, ok := range map[string]bool{
			"own": true, "./own": true, "same": true,
			"link": false, "up/secret": false, "../secret": false, outside: false, "~/x": false, "/etc/passwd": false, "": false,
		} {
			if _, err := table[name].Call([]cty.Value{cty.StringVal(path)}); (err == nil) != ok {
				t.Errorf("%s(%q): %v", name, path, err)
			}
		}
	}
	for _, path := range []string{"link", "../secret", "up/secret"} {
		if v, err := table["fileexists"].Call([]cty.Value{cty.StringVal(path)}); err == nil && v.True() {
			t.Errorf("fileexists(%q) tells of what is outside", path)
		}
	}
}

// TestWithin: a link out of the folder is as much outside as .. is.
func TestWithin(t *testing.T) {
	folder, other := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "in.img"), nil, 0o600), os.WriteFile(filepath.Join(other, "out.img"), nil, 0o600),
		os.Symlink("in.img", filepath.Join(folder, "link.img")), os.Symlink(filepath.Join(other, "out.img"), filepath.Join(folder, "trap.img"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"in.img": true, "link.img": true, "trap.img": false, "../x": false, "/etc/passwd": false, "~/x": false} {
		if _, err := function.Within(folder, name); err == nil != want {
			t.Errorf("%s: %v, want it allowed: %v", name, err, want)
		}
	}
}
