-- Which representation a client prefers, by its Accept header.
local M = {}

local PROBLEM = { ["application/problem+json"] = 3, ["application/json"] = 3, ["application/*"] = 2, ["*/*"] = 1 }
local HTML = { ["text/html"] = 3, ["application/xhtml+xml"] = 3, ["text/*"] = 2, ["*/*"] = 1 }

-- The quality of the most specific range that names the representation; 0 when none does.
local function quality(accept, ranges)
    local best, value = 0, 0
    for part in accept:gmatch("[^,]+") do
        local range = part:match("^%s*([^%s;]+)")
        local rank = range and ranges[range:lower()] or 0
        if rank > 0 then
            local q = tonumber(part:match(";%s*[qQ]%s*=%s*([%d.]+)")) or 1
            if rank > best or (rank == best and q > value) then
                best, value = rank, q
            end
        end
    end
    return value
end

-- Whether JSON is wanted: always below /api/, otherwise when the client likes it better than HTML.
function M.wants_json(path, accept)
    if path:sub(1, 5) == "/api/" then
        return true
    end
    if not accept then
        return false
    end
    return quality(accept, PROBLEM) > quality(accept, HTML)
end

-- The Accept header as one string, or nil.
function M.accept()
    local value = ngx.req.get_headers(100)["accept"]
    if type(value) == "table" then
        return table.concat(value, ",")
    end
    return value
end

return M
