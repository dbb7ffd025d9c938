-- The flag of a maintenance on purpose. The watcher puts it into a shared dictionary; every worker reads it for every
-- request, so that turning it on or off is no reload and closes no connection.
local dict = ngx.shared.maintenance

local M = {}

local version  -- of the text that `flag` was parsed from
local flag     -- nil while no maintenance is on

local function bytes(hex)
    return (hex:gsub("%x%x", function(pair)
        return string.char(tonumber(pair, 16))
    end))
end

-- The text is what the watcher writes: a word and what it is a line, nothing at all while no maintenance is on.
local function parse(text)
    if text == "" then
        return nil
    end
    local found = { allow = {} }
    for word, rest in text:gmatch("(%S+) ([^\n]*)\n") do
        if word == "allow" then
            local network, bits = rest:match("^(%x+) (%d+)$")
            found.allow[#found.allow + 1] = { bytes = bytes(network), bits = tonumber(bits) }
        else
            found[word] = rest
        end
    end
    found.expected = tonumber(found.expected)
    found.bypass_until = tonumber(found.bypass_until)
    found.bypass_digest = bytes(found.bypass_digest)
    return found
end

-- The flag as it is now, or nil. A number tells whether there is news: it is cheaper to read than the text.
function M.current()
    local number = dict:get("version")
    if number ~= version then
        flag = parse(dict:get("text") or "")
        version = number
    end
    return flag
end

-- The text first: whoever sees the new number reads the new text.
function M.put(text)
    local stored, why = dict:set("text", text)
    if not stored then
        return nil, why
    end
    return dict:incr("version", 1, 0)
end

function M.get()
    return dict:get("text") or ""
end

-- Called once, by the master: what the watcher last wrote, so that no starting Nginx serves a site that is being mended.
function M.load(path)
    if not dict:get("text") then
        local file = io.open(path)
        if file then
            M.put(file:read("*a"))
            file:close()
        end
    end
end

return M
