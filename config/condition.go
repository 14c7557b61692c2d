package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Blocks that hold conditions.
const (
	checkBlock    = "check"
	precondition  = "precondition"
	postcondition = "postcondition"
)

// selfName is what an object's own conditions call it.
const selfName = "self"

// rule is a condition that must hold, and what to say when it does not.
type rule struct {
	kind      string // of its block
	level     int    // where it is evaluated: see levelScope
	condition hclsyntax.Expression
	message   hclsyntax.Expression
}

// check is a check block.
type check struct {
	name   string
	header hcl.Range
	rules  []rule
}

func declareRule(b *hclsyntax.Block, rep *reporter) (rule, bool) {
	known := []string{"condition", "error_message"}
	for _, attr := range sortedAttributes(b.Body) {
		if !slices.Contains(known, attr.Name) {
			rep.add(unknownAttribute(attr, b.Type, known))
		}
	}
	for _, nested := range b.Body.Blocks {
		rep.add(mistake(nested.TypeRange, "Unknown block type", "%s block has no blocks.", sentence(article(b.Type))))
	}
	condition, message := b.Body.Attributes[known[0]], b.Body.Attributes[known[1]]
	if condition == nil || message == nil {
		rep.add(mistake(b.DefRange(), "Missing attribute", "%s block needs condition and error_message.", sentence(article(b.Type))))
		return rule{}, false
	}
	return rule{kind: b.Type, condition: condition.Expr, message: message.Expr}, true
}

func declareCheck(b *hclsyntax.Block, rep *reporter) *check {
	c := &check{name: b.Labels[0], header: b.DefRange()}
	for _, attr := range sortedAttributes(b.Body) {
		rep.add(mistake(attr.NameRange, "Unknown attribute", "A check block has no attributes. Write assert { condition = …  error_message = … }, on lines of their own."))
	}
	for _, nested := range b.Body.Blocks {
		if nested.Type != "assert" {
			rep.add(mistake(nested.TypeRange, "Unknown block type", "A check block has no block %q.%s", nested.Type, didYouMean(nested.Type, []string{"assert"})))
			continue
		}
		if r, ok := declareRule(nested, rep); ok {
			c.rules = append(c.rules, r)
		}
	}
	if len(b.Body.Blocks) == 0 {
		rep.add(mistake(c.header, "Missing block", "check.%s checks nothing. Write assert { … } in it.", c.name))
	}
	return c
}

// conditions evaluates the conditions of objects, whose failure is a mistake, and of check blocks, whose failure is a
// warning. It comes last, when all that can be known is: what only a running guest can tell is not checked.
func (e *evaluator) conditions() {
	for _, o := range e.objects {
		for _, r := range o.block.rules {
			if text, failed := o.scopeAt(r.level).scope.broken(r, o.context(r)); failed {
				e.rep.addFirst(mistake(r.condition.Range(), "Condition not met", "%s: %s", o.addr, text))
			}
		}
	}
	for _, sc := range e.scopes {
		for _, name := range sc.mod.checks.order {
			for _, r := range sc.mod.checks.byName[name].rules {
				if text, failed := sc.broken(r, sc.context(r.references(), repetition{})); failed {
					e.rep.add(warning(r.condition.Range(), "Check failed", "%s: %s", sc.address(checkBlock+"."+name), text))
				}
			}
		}
	}
}

func (r rule) references() []reference { return referencesIn(r.condition, r.message) }

// context is what an object's own conditions see: also the object itself.
func (o *object) context(r rule) *hcl.EvalContext {
	var refs []reference
	self := false
	for _, ref := range r.references() {
		if ref.root != selfName {
			refs = append(refs, ref)
			continue
		}
		self = true
		var steps hcl.Traversal
		if ref.name != "" {
			steps = append(hcl.Traversal{hcl.TraverseAttr{Name: ref.name}}, ref.steps...)
		}
		if d := o.block.checkMembers(reference{root: string(o.addr.Kind), name: o.addr.Name, rng: ref.rng}, steps); d != nil {
			o.scope.eval.refuse(ref, d)
		}
	}
	ctx := o.scopeAt(r.level).context(refs)
	if self {
		ctx = ctx.NewChild()
		ctx.Variables = map[string]cty.Value{}
		ctx.Variables[selfName] = o.scope.eval.objectValue(o)
	}
	return ctx
}

// broken tells whether a rule does not hold, and what to say then. What is not known is not broken.
func (sc *scope) broken(r rule, ctx *hcl.EvalContext) (text string, failed bool) {
	cond, ok := sc.eval.value(r.condition, ctx)
	if !ok {
		return "", false
	}
	cond, _ = cond.UnmarkDeep()
	cond, err := convert.Convert(cond, cty.Bool)
	if err != nil || cond.IsNull() {
		sc.eval.rep.addFirst(mistake(r.condition.Range(), "Wrong type", "The condition of %s is true or false.", article(r.kind)))
		return "", false
	}
	if !cond.IsKnown() || cond.True() {
		return "", false
	}
	return sc.message(r, ctx), true
}

// isCondition tells whether a block of lifecycle holds a condition.
func isCondition(prefix string, b *hclsyntax.Block) bool {
	return prefix == "lifecycle." && (b.Type == precondition || b.Type == postcondition)
}
