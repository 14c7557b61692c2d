package function

import (
	"math/big"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/gocty"
)

func networks() map[string]function.Function {
	return map[string]function.Function{
		"cidrhost":    fixed("Gives the address number hostnum of a range such as 10.17.3.0/24; negative numbers count from its end.", cty.String, cidrHost, text("prefix"), number("hostnum")),
		"cidrnetmask": fixed("Gives the netmask of an IPv4 range: 255.255.255.0 for 10.17.3.0/24.", cty.String, cidrNetmask, text("prefix")),
		"cidrsubnet":  fixed("Gives the subnet number netnum of a range, whose prefix is longer by newbits.", cty.String, cidrSubnet, text("prefix"), number("newbits"), number("netnum")),
		"cidrsubnets": cidrSubnetsFunc,
	}
}

func parsePrefix(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "%q is not an address range: write it as in 10.17.3.0/24", v.AsString())
	}
	return p.Masked(), nil
}

// offset gives base + n * 2^shift, in base's family.
func offset(base netip.Addr, n *big.Int, shift int) netip.Addr {
	sum := new(big.Int).SetBytes(base.AsSlice())
	sum.Add(sum, new(big.Int).Lsh(n, uint(shift)))
	addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, base.BitLen()/8)))
	return addr
}

func wholeNumber(v cty.Value, arg int) (*big.Int, error) {
	n := new(big.Int)
	if err := gocty.FromCtyValue(v, n); err != nil {
		return nil, function.NewArgErrorf(arg, "must be a whole number")
	}
	return n, nil
}

func cidrHost(args []cty.Value) (cty.Value, error) {
	p, err := parsePrefix(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	n, err := wholeNumber(args[1], 1)
	if err != nil {
		return cty.NilVal, err
	}
	count := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	at := new(big.Int).Set(n)
	if n.Sign() < 0 {
		at.Add(count, n)
	}
	if at.Sign() < 0 || at.Cmp(count) >= 0 {
		return cty.NilVal, function.NewArgErrorf(1, "%s has %s addresses and so no number %s", p, count, n)
	}
	return cty.StringVal(offset(p.Addr(), at, 0).String()), nil
}

func cidrNetmask(args []cty.Value) (cty.Value, error) {
	p, err := parsePrefix(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	if !p.Addr().Is4() {
		return cty.NilVal, function.NewArgErrorf(0, "%s is an IPv6 range, which has no netmask", p)
	}
	ones, _ := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(p.Bits())
	return cty.StringVal(ones.Addr().String()), nil
}

func cidrSubnet(args []cty.Value) (cty.Value, error) {
	p, err := parsePrefix(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	bits, err := newBits(p, args[1], 1)
	if err != nil {
		return cty.NilVal, err
	}
	n, err := wholeNumber(args[2], 2)
	if err != nil {
		return cty.NilVal, err
	}
	if count := new(big.Int).Lsh(big.NewInt(1), uint(bits-p.Bits())); n.Sign() < 0 || n.Cmp(count) >= 0 {
		return cty.NilVal, function.NewArgErrorf(2, "%s has %s subnets of /%d and so no number %s", p, count, bits, n)
	}
	sub := netip.PrefixFrom(offset(p.Addr(), n, p.Addr().BitLen()-bits), bits)
	return cty.StringVal(sub.String()), nil
}

// newBits gives the length of a prefix longer than p by v.
func newBits(p netip.Prefix, v cty.Value, arg int) (int, error) {
	more, err := wholeNumber(v, arg)
	if err != nil {
		return 0, err
	}
	if room := p.Addr().BitLen() - p.Bits(); more.Sign() < 0 || more.Cmp(big.NewInt(int64(room))) > 0 {
		return 0, function.NewArgErrorf(arg, "must be from 0 to %d, the bits that %s leaves", room, p)
	}
	return p.Bits() + int(more.Int64()), nil
}

var cidrSubnetsFunc = function.New(&function.Spec{
	Description: "Gives consecutive subnets of a range, one for each newbits, whose prefixes are longer by that.",
	Params:      []function.Parameter{text("prefix")},
	VarParam:    &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:        function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		p, err := parsePrefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if len(args) == 1 {
			return cty.ListValEmpty(cty.String), nil
		}
		var out []cty.Value
		next := p.Addr() // invalid once the family's last address is used
		for i, v := range args[1:] {
			bits, err := newBits(p, v, i+1)
			if err != nil {
				return cty.NilVal, err
			}
			sub, fits := subnetFrom(p, next, bits)
			if !fits {
				return cty.NilVal, function.NewArgErrorf(i+1, "no room is left in %s for a subnet of /%d", p, bits)
			}
			out = append(out, cty.StringVal(sub.String()))
			next = lastOf(sub).Next()
		}
		return cty.ListVal(out), nil
	},
})

// subnetFrom gives the first subnet of p with that many bits at or after from.
func subnetFrom(p netip.Prefix, from netip.Addr, bits int) (sub netip.Prefix, ok bool) {
	if !from.IsValid() || !p.Contains(from) {
		return sub, false
	}
	sub = netip.PrefixFrom(from, bits).Masked()
	if sub.Addr() != from {
		next := lastOf(sub).Next()
		if !next.IsValid() {
			return sub, false
		}
		sub = netip.PrefixFrom(next, bits)
	}
	return sub, p.Contains(sub.Addr())
}

func lastOf(p netip.Prefix) netip.Addr {
	hosts := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	return offset(p.Addr(), hosts.Sub(hosts, big.NewInt(1)), 0)
}
