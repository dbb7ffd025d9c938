-- Which peer answers a request. The watcher resolves names and puts the addresses into a shared dictionary; every worker
-- reads it for every request, so that a switch is neither a reload nor a name lookup.
local balancer = require "ngx.balancer"
local dict = ngx.shared.upstream

local M = {}

local NO_LIVE_UPSTREAM = -3  -- nginx's NGX_BUSY

local version         -- of the text that `peers` was parsed from
local release = ""
local peers = {}
local count = 0
local turn = 0
local avoid_for = 0.3
local trial_for = 0.2

-- The text is what the watcher writes: the release on the first line, then one `address port` a line.
local function parse(text)
    local list, number = {}, 0
    local first = text:match("^([^\n]*)")
    for address, port in text:gmatch("\n(%S+) (%d+)") do
        number = number + 1
        list[number] = { address = address, port = tonumber(port), name = address .. ":" .. port }
    end
    release, peers, count = first, list, number
end

-- A number tells whether there is news: it is cheaper to read than the text.
local function refresh()
    local number = dict:get("version")
    if number ~= version then
        parse(dict:get("peers") or "")
        version = number
    end
end

-- Whether a peer should be passed over: it failed a moment ago. After `avoid_for` seconds one request at a time tries it.
local function avoided(name)
    local failed_at = dict:get("failed:" .. name)
    if not failed_at then
        return false
    end
    if ngx.now() - failed_at < avoid_for then
        return true
    end
    if dict:add("trial:" .. name, true, trial_for) then
        dict:set("failed:" .. name, failed_at, trial_for)
        return false
    end
    return true
end

local function mark_failed(name)
    dict:set("failed:" .. name, ngx.now(), avoid_for + trial_for)
    dict:delete("trial:" .. name)
end

-- The text first: whoever sees the new number reads the new text.
function M.put(text)
    local stored, why = dict:set("peers", text)
    if not stored then
        return nil, why
    end
    return dict:incr("version", 1, 0)
end

-- Called once, by the master: what the watcher last wrote, so that a restarted Nginx needs nobody to tell it.
function M.load(path, seconds)
    avoid_for = seconds
    if not dict:get("peers") then
        local file = io.open(path)
        if file then
            M.put(file:read("*a"))
            file:close()
        end
    end
    refresh()
end


function M.get()
    return dict:get("peers") or ""
end

function M.pick()
    refresh()
    ngx.var.upstream_release = release
    if count == 0 then
        return ngx.exit(NO_LIVE_UPSTREAM)  -- 502, and so the page
    end
    if count == 1 then
        local only = peers[1]
        balancer.set_current_peer(only.address, only.port)
        return
    end

    local ctx = ngx.ctx
    local tried
    if balancer.get_last_failure() then
        tried = ctx.peer
        if tried then
            mark_failed(tried)
        end
    else
        balancer.set_more_tries(1)
    end
    turn = turn + 1
    local choice
    for step = 0, count - 1 do
        local peer = peers[(turn + step) % count + 1]
        if peer.name ~= tried and not avoided(peer.name) then
            choice = peer
            break
        end
    end
    if not choice then  -- all failed a moment ago: avoiding them all would turn a hiccup into an outage
        choice = peers[turn % count + 1]
        if choice.name == tried then
            choice = peers[(turn + 1) % count + 1]
        end
    end
    ctx.peer = choice.name
    balancer.set_current_peer(choice.address, choice.port)
end

-- Called when a request is logged as 503: a last try that never connected is a failure nobody was told of.
function M.note_unconnected()
    if count > 1 and ngx.ctx.peer and (ngx.var.upstream_connect_time or ""):match("%-$") then
        mark_failed(ngx.ctx.peer)
    end
end

return M
