-- Maintenance on purpose: who gets the page, and what is said about it.
local bypass = require "gateway.bypass"
local counters = require "gateway.counters"
local flags = require "gateway.flag"

local M = {}

-- As the application reads them, so unnormalised: a load balancer in front must not take a site that is being looked
-- after for a dead one.
local PROBES = { ["/healthz"] = true, ["/readyz"] = true }

local function within(address, network)
    local whole, rest = math.floor(network.bits / 8), network.bits % 8
    if #address ~= #network.bytes or address:sub(1, whole) ~= network.bytes:sub(1, whole) then
        return false
    end
    local shift = 8 - rest
    return rest == 0
        or bit.rshift(address:byte(whole + 1), shift) == bit.rshift(network.bytes:byte(whole + 1), shift)
end

local MAPPED = ("\0"):rep(10) .. "\255\255"

-- Whether the client's address is one of those that are let through; an IPv4 address in IPv6's clothes is an IPv4 one.
local function allowed(flag)
    local address = ngx.var.binary_remote_addr
    if #address == 16 and address:sub(1, 12) == MAPPED then
        address = address:sub(13)
    end
    for _, network in ipairs(flag.allow) do
        if within(address, network) then
            return true
        end
    end
    return false
end

local function shown(flag, values)
    for _, value in ipairs(values or {}) do
        if bypass.opens(flag, value) then
            return true
        end
    end
    return false
end

-- Every request for the application takes its turn here; most turn away to the page while a maintenance is on.
function M.turn()
    local values = bypass.take()
    local flag = flags.current()
    if not flag or PROBES[ngx.var.request_uri:match("^[^?]*")] then
        return
    end
    if allowed(flag) or shown(flag, values) then
        ngx.var.maintenance = "bypass"
        counters.count_bypass()
        return
    end
    ngx.var.maintenance = "page"
    return ngx.exit(503)
end

-- Whether a maintenance is on, and which: what `make maintenance` asks of each gateway.
function M.say()
    local flag = flags.current()
    local words = flag and ("on " .. flag.id .. "\n") or "off\n"
    ngx.header["Content-Type"] = "text/plain; charset=utf-8"
    ngx.header["Content-Length"] = #words
    ngx.print(words)
end

return M
